"""Inputs of campaigns: numbered messages with twins among them, all decided by a seed.

A message is known by its identity, which is its recipient and the last word of its text. Twins are equal messages.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from attrs import frozen
from chance import chance

from devino_async import Message

_TEXTS = (
    "Your order {} is ready, come and fetch it. Number {}",
    "Привет! Ваш заказ {} готов, его можно забрать сегодня. Номер {}",
    'Скидка "{}" \\ до конца недели\nКод {}',
)


def message_of(number: int, *, mended: bool = False) -> Message:
    """Message `number`. A mended one has another text, and goes to the same recipient."""
    word = f"{number}m" if mended else str(number)
    return Message(sender="Lab", to=f"7900{number:07}", text=_TEXTS[number % len(_TEXTS)].format(number, word))


def identity_of(to: str, text: str) -> str:
    """How the server and the lab recognise a message."""
    return f"{to} {text.rpartition(' ')[2]}"


def identities_of(messages: Iterable[Message]) -> list[str]:
    """The identities of messages, in their order."""
    return [identity_of(each.to, each.text) for each in messages]


def is_rejected(to: str) -> bool:
    """Whether the server rejects messages to this recipient."""
    return int(to) % 53 == 5


@frozen
class Input:
    """A campaign of `count` messages, of which about `twins` (a share) equal an earlier one."""

    seed: int
    count: int
    twins: float = 0.02

    def numbers(self) -> list[int]:
        """The number of each message, in input order. Twins stand near each other and far apart."""
        random = chance(self.seed)
        numbers = list(range(self.count))
        for at in random.sample(range(1, self.count), int(self.count * self.twins)):
            numbers[at] = numbers[at - 1 if random.random() < 0.5 else random.randrange(at)]
        return numbers

    def messages(self) -> Iterator[Message]:
        """The messages, made one by one."""
        return map(message_of, self.numbers())


@frozen
class Listed:
    """An input of messages that are named one by one."""

    given: tuple[Message, ...]

    def messages(self) -> Iterator[Message]:
        """The messages."""
        return iter(self.given)


@frozen
class Stuck:
    """An input that gives these messages, and then waits for more for ever."""

    given: tuple[Message, ...]

    async def messages(self) -> AsyncIterator[Message]:
        """The messages, and the wait."""
        for each in self.given:
            yield each
        await asyncio.Event().wait()


def allowed(messages: Iterable[Message]) -> Counter[str]:
    """How many times each identity may be accepted: as often as it stands in the input."""
    return Counter(identities_of(messages))


def as_csv(messages: Sequence[Message]) -> str:
    """A file of these messages."""
    rows = (f'{each.sender},{each.to},"{each.text.replace(chr(34), chr(34) * 2)}"\n' for each in messages)
    return "sender,to,text\n" + "".join(rows)
