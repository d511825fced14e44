"""Prices of segments, learnt from what the account's own messages cost: by operator and by kind of traffic."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

import devino_async

from .console import printable

__all__ = ["learnt"]

_CENT = Decimal("0.0001")
_MAX_KINDS = 1_000
_SHOWN_KINDS = 20
_OTHERS = ("other operators", "")
_FIELDS = ("MESSAGE_ID", "PRICE", "SEGMENT_COUNT", "MOG_NAME", "TRAFFIC")


async def learnt(client: "devino_async.DevinoClient", days: int) -> tuple[Decimal | None, list[str]]:
    """Return the mean price of a segment in the last days, or None if no message has a price, and lines for people.

    The operators of a file's recipients are not known beforehand. So the mean is that of all messages.
    """
    # The dates of the service have no zone, so a day more on each side covers all zones.
    now = datetime.now(UTC).replace(tzinfo=None, microsecond=0)
    query = devino_async.DetailQuery(
        date_time_from=now - timedelta(days=days + 1),
        date_time_to=now + timedelta(days=1),
        out_fields=[devino_async.DetailField(each) for each in _FIELDS],
    )
    seen: dict[tuple[str, str], tuple[int, Decimal]] = {}
    async for row in client.details(query):
        # API docs, "PRICE": the price of a segment. A message without a count has at least one segment.
        if row.price is None or row.price <= 0:
            continue
        key = (row.mog_name or "an unknown operator", str(row.traffic or ""))
        if key not in seen and len(seen) >= _MAX_KINDS:
            key = _OTHERS
        segments, price = seen.get(key, (0, Decimal(0)))
        more = max(1, row.segment_count or 1)
        seen[key] = (segments + more, price + more * row.price)
    total = sum(segments for segments, _ in seen.values())
    if not total:
        return None, ["", f"no message of the last {days} days has a price, so no price is known"]
    mean = _rounded(sum(price for _, price in seen.values()) / Decimal(total))
    return mean, [*_table(seen, days), f"  the mean is {mean:f}, which the cost is counted with"]


def _table(seen: dict[tuple[str, str], tuple[int, Decimal]], days: int) -> Iterator[str]:
    yield ""
    yield f"What a segment cost in the last {days} days"
    ordered = sorted(seen.items(), key=lambda each: -each[1][0])
    for (operator, traffic), (segments, price) in ordered[:_SHOWN_KINDS]:
        kind = f", {traffic}" if traffic else ""
        yield f"  {_rounded(price / segments):f}  {printable(operator + kind)} ({segments:,} segments)"
    if len(ordered) > _SHOWN_KINDS:
        yield f"  and {len(ordered) - _SHOWN_KINDS:,} more"


def _rounded(price: Decimal | int) -> Decimal:
    rounded = Decimal(price).quantize(_CENT, ROUND_HALF_UP)
    short = rounded.quantize(Decimal("0.01"))
    return short if short == rounded else rounded
