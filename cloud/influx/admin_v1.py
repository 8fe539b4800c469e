"""InfluxDB 1.x: its retention policies and continuous queries, through /query."""

import re
from typing import Any

from cloud.errors import HoldError
from cloud.influx import statements
from cloud.influx.http import Asker
from cloud.influx.plan import Policy, Stand, Step, What, policy, steps_to
from cloud.influx.query import quote_ident
from cloud.influx.schema import HOURS_POLICY, LONG_POLICY
from cloud.keep import Keep
from cloud.settings import Influx1

FIRST_POLICY = "autogen"
"""The one that 1.x makes with a database."""
_GO_DURATION = re.compile(r"^(?:(?P<h>\d+)h)?(?:(?P<m>\d+)m)?(?:(?P<s>\d+)(?:\.\d+)?s)?$")
_MAX_FAULT_CHARS = 300


class AdminV1:
    """An `Admin`."""

    def __init__(self, settings: Influx1, asker: Asker) -> None:
        self._settings, self._asker = settings, asker
        self._database = settings.database

    async def look(self, keep: Keep) -> list[Step]:
        """See `Admin.look`; without a policy in the settings the database's default one is meant."""
        found = await self._find()
        raw = self._settings.retention_policy or found.default or FIRST_POLICY
        policies = (
            policy(raw, keep.raw_days),
            policy(HOURS_POLICY, keep.hours_days),
            policy(LONG_POLICY, keep.long_days),
        )
        wanted = Stand(
            database=self._database,
            is_there=True,
            policies={one.name: one for one in policies},
            default=raw,
            thinning={name: statements.thin(name, raw, self._database) for name in statements.THINNING},
        )
        return steps_to(wanted, found)

    async def do(self, step: Step) -> None:
        """See `Admin.do`."""
        for statement in self._statements(step):
            await self._ask(statement)

    def _statements(self, step: Step) -> list[str]:
        database = self._database
        match step.what, step.policy:
            case What.DATABASE, Policy() as default:
                return [statements.create_database(database, default)]
            case What.POLICY, Policy() as one:
                return [statements.create_policy(one, database)]
            case What.KEEP, Policy() as one:
                return [statements.alter_policy(one, database)]
            case What.DEFAULT, _:
                return [statements.make_default(step.name, database)]
            case What.THIN_ANEW, _:
                return [statements.stop_thinning(step.name, database), step.text]
            case _:
                return [step.text]

    async def _find(self) -> Stand:
        names = {row[0] for row in _rows(await self._ask("SHOW DATABASES"))}
        if self._database not in names:
            return Stand(database=self._database)
        policies: dict[str, Policy] = {}
        default = ""
        rows = _rows(await self._ask(f"SHOW RETENTION POLICIES ON {quote_ident(self._database)}"))
        for name, duration, shard, _replicas, is_default in rows:
            policies[name] = Policy(name, _seconds(duration), _seconds(shard))
            default = name if is_default else default
        queries = _rows(await self._ask("SHOW CONTINUOUS QUERIES"), of=self._database)
        return Stand(
            database=self._database, is_there=True, policies=policies, default=default, thinning=dict(queries)
        )  # fmt: skip

    async def _ask(self, statement: str) -> Any:
        answer = await self._asker.ask("POST", "/query", form={"q": statement})
        result = answer["results"][0] if isinstance(answer, dict) and answer.get("results") else {}
        if fault := result.get("error"):
            raise HoldError(f"{statement}: {fault[:_MAX_FAULT_CHARS]}", status=200)
        return result


def _rows(result: Any, *, of: str | None = None) -> list[list[Any]]:
    """Read the rows of an answer; `of`: those of the series of that name."""
    found = [series for series in result.get("series", ()) if of is None or series.get("name") == of]
    return [row for series in found for row in series.get("values", ())]


def _seconds(duration: str) -> int:
    """Read a duration as Go writes it: "2160h0m0s"; "0s" is for ever."""
    parts = _GO_DURATION.match(duration)
    if parts is None:
        raise HoldError(f"a duration that nobody can read: {duration[:40]!r}", status=200)
    hours, minutes, seconds = (int(part or 0) for part in parts.group("h", "m", "s"))
    return (hours * 60 + minutes) * 60 + seconds
