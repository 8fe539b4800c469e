"""InfluxDB 3 Core: one database, which knows one retention, given when it is made.

Its InfluxQL takes no retention policy after FROM, and it has neither continuous queries nor tasks: everything is in one
database, kept as long as what is kept longest, and readings are not thinned.

Source: "Manage databases" and "Data retention", InfluxDB 3 Core.
"""

from cloud.influx.http import Asker
from cloud.influx.plan import FOREVER, Stand, Step, longest_days, policy, steps_to
from cloud.keep import Keep
from cloud.settings import Influx3

_PATH = "/api/v3/configure/database"


class AdminV3:
    """An `Admin`; its token is one of an administrator."""

    def __init__(self, settings: Influx3, asker: Asker) -> None:
        self._database, self._asker = settings.bucket, asker

    async def look(self, keep: Keep) -> list[Step]:
        """See `Admin.look`; how long a database keeps that is there can be neither read nor changed."""
        answer = await self._asker.ask("GET", _PATH, params={"format": "json"})
        names = {next(iter(row.values()), "") for row in answer or ()}
        one = policy(self._database, longest_days(keep))
        wanted = Stand(
            database=self._database, is_there=True, policies={self._database: one}, default=self._database
        )  # fmt: skip
        return steps_to(wanted, wanted if self._database in names else Stand(database=self._database))

    async def do(self, step: Step) -> None:
        """See `Admin.do`."""
        body = {"db": step.name}
        if step.policy is not None and step.policy.keep_s != FOREVER:
            body["retention_period"] = f"{step.policy.keep_s // 86_400}d"
        await self._asker.ask("POST", _PATH, body=body)
