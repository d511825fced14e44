"""What the counting server does on each connection: receive, decide, count, answer, and fail at random by a seed.

A message counts as accepted when the service decides so, whether or not an answer gets out.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from multiprocessing.connection import Connection as Pipe
from typing import Any

from attrs import define, field, frozen
from chance import chance
from fault_script import ALL_BUT_ONE, http
from fault_server import Connection
from inputs import identity_of, is_rejected

FAULTS: Mapping[str, float] = {
    "reset at once": 0.01,
    "cut in the body": 0.01,
    "reset before the last byte": 0.01,
    "answer lost": 0.01,
    "request lost": 0.01,
    "half an answer": 0.01,
    "502, accepted": 0.01,
    "502, not accepted": 0.01,
    "429": 0.03,
    "400": 0.01,
    "slow": 0.05,
}
"""How likely each fault is for a POST. What a client can know of a message after `LOSSY` ones is nothing."""
LOSSY = frozenset({"answer lost", "request lost", "half an answer", "502, accepted", "502, not accepted"})
# The kernel decides whether a client can prove that nothing was received.
_CUT = frozenset({"reset at once", "cut in the body", "reset before the last byte"})
_ACCEPTING = frozenset({"none", "slow", "answer lost", "half an answer", "502, accepted"})
_POST = b"POST /sms/messages"
_REJECTED = {"code": "REJECTED", "messageId": None, "reasons": [{"key": "to.format.invalid", "ref": "to"}]}
_REFUSED = json.dumps({"result": None, "reasons": [{"key": "request.invalid", "ref": "messages"}]})
_FIRST_ID = 3_701_172_084_729_885_952


@frozen(kw_only=True)
class Truth:
    """What the server knows. `ids` are those it gave to each identity, one for each time that it was accepted.

    `lossy` are the identities of messages that met a fault after which no client can know what became of them. `posts`
    counts the requests to send that began, `messages` what was in the complete ones, `incomplete` those that were reset
    before their end, and `probes` all look-ups. `met` counts the faults.
    """

    ids: dict[str, list[str]]
    lossy: Counter[str]
    incomplete: int
    posts: int
    messages: int
    probes: int
    met: Counter[str]


@define
class Counting:
    """The step that each connection plays: receive, decide, count, answer."""

    events: Pipe
    faults: Mapping[str, float] = field(factory=dict)
    random: Any = field(factory=lambda: chance(0))
    latency: float = 0.0
    alert: tuple[int, str] | None = None
    ids: dict[str, list[str]] = field(factory=dict)
    lossy: Counter[str] = field(factory=Counter)
    met: Counter[str] = field(factory=Counter)
    posts: int = 0
    messages: int = 0
    incomplete: int = 0
    probes: int = 0
    probes_fail: bool = False
    held: asyncio.Event = field(factory=asyncio.Event)
    given: int = 0

    async def __call__(self, connection: Connection) -> None:
        try:
            await connection.read_to(len(_POST))
            if connection.raw.startswith(_POST):
                await self._play(connection, self._fault())
            else:
                await self._answer_probe(connection)
        finally:
            connection.raw.clear()

    async def _play(self, connection: Connection, fault: str) -> None:
        self.posts += 1
        number = self.posts
        self.met[fault] += 1
        self._reached(number, "begun")
        if fault in _CUT:
            if fault == "cut in the body":
                await connection.read_to(self.random.random())
            elif fault == "reset before the last byte":
                await connection.read_to(ALL_BUT_ONE)
            self._reset(connection)
            return
        await connection.read_to("request")
        self._reached(number, "received")
        await self._answer(connection, fault)
        self._reached(number, "answered")
        await connection.end("rst" if fault in {"request lost", "answer lost"} else "fin")

    def truth(self) -> Truth:
        """What the server knows now."""
        return Truth(
            ids=self.ids,
            lossy=self.lossy,
            incomplete=self.incomplete,
            posts=self.posts,
            messages=self.messages,
            probes=self.probes,
            met=self.met,
        )

    def _fault(self) -> str:
        lot = self.random.random()
        for fault, share in self.faults.items():
            lot -= share
            if lot < 0:
                return fault
        return "none"

    async def _answer_probe(self, connection: Connection) -> None:
        self.probes += 1
        await connection.read_to("request")
        connection.say(http(502) if self.probes_fail else http(200, '{"result": []}', "Connection: close"))
        await connection.end("fin")

    async def _answer(self, connection: Connection, fault: str) -> None:
        """Decide on a complete request. What the service accepts is counted before anything else happens."""
        sent = json.loads(connection.request.body)["messages"]
        self.messages += len(sent)
        if fault in LOSSY:
            self._lose(sent)
        results = self._accept(sent) if fault in _ACCEPTING else []
        # The answer waits as long as the service is held, and what it decided stays decided.
        await asyncio.sleep(self.latency * self.random.random() + (0.2 if fault == "slow" else 0.0))
        await self.held.wait()
        answer = http(200, json.dumps({"result": results}), "Connection: close")
        if fault == "429":
            answer = http(429, "", "Retry-After: 0", "Connection: close")
        elif fault in {"400", "401"}:
            answer = http(fault, _REFUSED, "Connection: close")
        elif fault in {"502, accepted", "502, not accepted"}:
            answer = http(502, "bad gateway", "Connection: close")
        elif fault == "half an answer":
            answer = answer[: int(len(answer) * self.random.random())]
        if fault not in {"request lost", "answer lost"}:
            connection.say(answer)

    def _accept(self, sent: list[dict[str, str]]) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = []
        for each in sent:
            if is_rejected(each["to"]):
                results.append(_REJECTED)
                continue
            self.given += 1
            message_id = str(_FIRST_ID + 2 * self.given)
            self.ids.setdefault(identity_of(each["to"], each["text"]), []).append(message_id)
            results.append({"code": "OK", "messageId": message_id})
        return results

    def _lose(self, sent: list[dict[str, str]]) -> None:
        self.lossy.update(identity_of(each["to"], each["text"]) for each in sent)

    def _reset(self, connection: Connection) -> None:
        """Reset a request that was not read to its end. If all of it lay in the kernel, the service had received it."""
        connection.reset()
        found = connection.requests
        if found and found[-1].complete:
            sent = json.loads(found[-1].body)["messages"]
            self.messages += len(sent)
            self._accept(sent)
            self._lose(sent)
        else:
            # The client may have handed over all of it, and then cannot know that a part never arrived.
            self.incomplete += 1

    def _reached(self, number: int, phase: str) -> None:
        if self.alert == (number, phase):
            self.alert = None
            self.events.send(phase)
