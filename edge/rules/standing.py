"""What the outbox remembers of an alarm that stands, so that a restart neither repeats nor forgets it."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from contract.alarms import Mode


class Standing(Struct, frozen=True, omit_defaults=True):
    """An alarm that stands.

    Attributes:
        raised_at_us: when it was raised, by the clock that samples are stamped with. After a reboot of the
            computer that clock has begun anew: whoever keeps standings gives them back in wall time then.
        triggered_at_us: when it was last raised or triggered again; 0 is `raised_at_us`.
        mode: that in which it was raised.
        is_latched: its condition is over, and it waits for a reset.
    """

    raised_at_us: int
    triggered_at_us: int = 0
    mode: Mode = Mode.LIVE
    is_latched: bool = False

    @property
    def latest_us(self) -> int:
        """When it was last raised or triggered."""
        return self.triggered_at_us or self.raised_at_us

    def encode(self) -> bytes:
        """Write it as JSON of at most 200 bytes."""
        return msgspec.json.encode(self)


def read_standings(stored: Mapping[str, bytes]) -> dict[str, Standing]:
    """Read what was kept, by source; what cannot be read (a damaged file) is as if it had not stood."""
    found: dict[str, Standing] = {}
    for source, raw in stored.items():
        try:
            found[source] = msgspec.json.decode(raw, type=Standing)
        except msgspec.DecodeError:
            continue
    return found
