"""What the outbox remembers of an alarm that stands, so that a restart neither repeats nor forgets it."""

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from contract.alarms import Mode, Severity
from device_profiles.model import Text


class Told(Struct, frozen=True, omit_defaults=True):
    """What is said of an alarm that no rule explains: its device says it by itself.

    Attributes:
        kind, severity, text: as its events carry them.
        ends_after_s: how long it stands without being said again; None: until the device says that it is over.
    """

    kind: str
    severity: Severity
    text: Text
    ends_after_s: float | None = None


class Standing(Struct, frozen=True, omit_defaults=True):
    """An alarm that stands.

    Attributes:
        raised_at_us: when it was raised, by the clock that samples are stamped with. After a reboot of the
            computer that clock has begun anew: whoever keeps standings gives them back in wall time then.
        triggered_at_us: when it was last raised or triggered again; 0 is `raised_at_us`.
        mode: that in which it was raised.
        is_latched: its condition is over, and it waits for a reset.
        told: set when its device says it by itself.
    """

    raised_at_us: int
    triggered_at_us: int = 0
    mode: Mode = Mode.LIVE
    is_latched: bool = False
    told: Told | None = None

    @property
    def latest_us(self) -> int:
        """When it was last raised or triggered."""
        return self.triggered_at_us or self.raised_at_us

    def encode(self) -> bytes:
        """Write it as JSON: at most 200 bytes, and the texts of what is told."""
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
