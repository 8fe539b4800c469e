"""What one call of presence brings about."""

from msgspec import Struct

from contract.telemetry import Sample
from device_profiles.speech.said import Report


class Found(Struct, frozen=True):
    """What has changed; false when nothing has, which is the case for most sightings.

    Attributes:
        samples: of the stations' devices, to be kept and sent; their times rise within a device.
        reports: alarms, and their ends, each with the device that says it; for `Judge.told`.
    """

    samples: tuple[Sample, ...] = ()
    reports: tuple[tuple[str, Report], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.samples or self.reports)


NOTHING = Found()
"""What most sightings change."""
