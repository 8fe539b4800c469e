"""Dead letters: what could not be taken, with the reason, in a bounded table."""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Connection, delete, func, insert, select

from cloud.database.tables import dead_letter
from contract.errors import Refusal

MAX_PAYLOAD_BYTES = 64 * 1024
MAX_WHY_CHARS = 1_000
MAX_TOPIC_CHARS = 300


class DeadLetter(Struct, frozen=True):
    """One message, or one line of it, that was refused.

    Attributes:
        topic: as it arrived.
        gateway: of the topic; None when the topic names none.
        reason: closed word.
        why: one sentence with the place of the fault.
        payload: as it arrived, or the refused line; cut at 64 KiB when stored.
        received_at_us: microseconds UTC.
    """

    topic: str
    gateway: str | None
    reason: Refusal
    why: str
    payload: bytes
    received_at_us: int


def split_lines(lines: Sequence[bytes]) -> list[bytes]:
    """Join lines to payloads that `keep` need not cut; a line that is too long alone is spread over several."""
    payloads: list[bytes] = []
    waiting: list[bytes] = []
    size = 0
    for line in lines:
        if waiting and size + len(line) > MAX_PAYLOAD_BYTES:
            payloads.append(b"\n".join(waiting))
            waiting, size = [], 0
        if len(line) > MAX_PAYLOAD_BYTES:
            payloads += [line[at : at + MAX_PAYLOAD_BYTES] for at in range(0, len(line), MAX_PAYLOAD_BYTES)]
            continue
        waiting.append(line)
        size += len(line) + 1
    if waiting:
        payloads.append(b"\n".join(waiting))
    return payloads


def keep(connection: Connection, letters: Sequence[DeadLetter], *, limit: int) -> None:
    """Insert letters and drop the oldest beyond `limit` rows.

    Rows are counted by their ids, in constant time; where a rolled back transaction left a gap, a few rows
    less are kept.
    """
    if not letters:
        return
    rows = [
        {
            "received_at_us": letter.received_at_us,
            "topic": clean(letter.topic, MAX_TOPIC_CHARS),
            "gateway": letter.gateway,
            "reason": letter.reason.value,
            "why": clean(letter.why, MAX_WHY_CHARS),
            "payload": letter.payload[:MAX_PAYLOAD_BYTES],
            "payload_size": len(letter.payload),
        }
        for letter in letters
    ]
    connection.execute(insert(dead_letter), rows)
    newest = connection.execute(select(func.max(dead_letter.c.id))).scalar_one()
    connection.execute(delete(dead_letter).where(dead_letter.c.id <= newest - limit))


def clean(text: str, limit: int) -> str:
    """Make text from outside storable: no NUL (PostgreSQL refuses it), no lone surrogate, `limit` characters."""
    return text[:limit].replace("\0", "").encode("utf-8", "replace").decode("utf-8")
