"""Sets up an InfluxDB of any version: how long what is kept, and what is thinned. Doing it again changes nothing."""

from typing import Protocol

from cloud.influx.admin_v1 import AdminV1
from cloud.influx.admin_v2 import AdminV2
from cloud.influx.admin_v3 import AdminV3
from cloud.influx.http import Asker
from cloud.influx.plan import Step
from cloud.keep import Keep
from cloud.settings import Influx, Influx1, Influx3


class Admin(Protocol):
    """What one version understands."""

    async def look(self, keep: Keep) -> list[Step]:
        """List what is to be done; [] where all is as the settings say.

        Raises:
            DatabaseAwayError, HoldError, DatabaseRefusedError: as `Asker.ask`.
        """

    async def do(self, step: Step) -> None:
        """Do one of these; raises the same."""


def open_admin(settings: Influx, asker: Asker) -> Admin:
    """Choose by the settings' version."""
    if isinstance(settings, Influx1):
        return AdminV1(settings, asker)
    return AdminV3(settings, asker) if isinstance(settings, Influx3) else AdminV2(settings, asker)
