"""InfluxDB 2.x: its buckets, tasks, and the names by which InfluxQL finds buckets, through /api/v2.

Source: "InfluxDB v2 API", buckets, tasks and DBRPs; "InfluxDB 1.x compatibility API".
"""

from typing import Any

from cloud.errors import HoldError
from cloud.influx import flux
from cloud.influx.http import Asker
from cloud.influx.plan import Policy, Stand, Step, What, policy, steps_to
from cloud.influx.schema import HOURS_POLICY, LONG_POLICY
from cloud.influx.statements import THINNING
from cloud.influx.v2 import bucket_of
from cloud.keep import Keep
from cloud.settings import Influx2

_NOT_FOUND = 404
_DEFAULT_NAME = "autogen"


class AdminV2:
    """An `Admin`; its token may read the organisation, and read and write its buckets, tasks and mappings."""

    def __init__(self, settings: Influx2, asker: Asker) -> None:
        self._settings, self._asker = settings, asker
        self._org_id = ""
        self._bucket_ids: dict[str, str] = {}
        self._task_ids: dict[str, str] = {}

    async def look(self, keep: Keep) -> list[Step]:
        """See `Admin.look`."""
        self._org_id = await self._find_org()
        raw, hours, long = (bucket_of(self._settings, name) for name in ("", HOURS_POLICY, LONG_POLICY))
        policies = (policy(raw, keep.raw_days), policy(hours, keep.hours_days), policy(long, keep.long_days))
        wanted = Stand(
            database=raw,
            is_there=True,
            policies={one.name: one for one in policies},
            thinning={name: flux.task(name, raw=raw, hours=hours) for name in THINNING},
            names={_DEFAULT_NAME: raw, HOURS_POLICY: hours, LONG_POLICY: long},
        )
        # A bucket is a policy here, and what belongs to one database are but names: there is nothing to make before.
        found = Stand(
            database=raw,
            is_there=True,
            policies={name: one for name in wanted.policies if (one := await self._find_bucket(name)) is not None},
            thinning={name: text for name in THINNING if (text := await self._find_task(name)) is not None},
            names=await self._find_names(),
        )
        return steps_to(wanted, found)

    async def do(self, step: Step) -> None:
        """See `Admin.do`."""
        match step.what, step.policy:
            case What.POLICY, Policy() as one:
                body = {"orgID": self._org_id, "name": one.name, "retentionRules": [_rule(one)]}
                made = await self._asker.ask("POST", "/api/v2/buckets", body=body)
                self._bucket_ids[one.name] = made["id"]
            case What.KEEP, Policy() as one:
                path = f"/api/v2/buckets/{self._bucket_ids[one.name]}"
                await self._asker.ask("PATCH", path, body={"retentionRules": [_rule(one)]})
            case What.THINNING, _:
                body = {"orgID": self._org_id, "flux": step.text, "status": "active"}
                await self._asker.ask("POST", "/api/v2/tasks", body=body)
            case What.THIN_ANEW, _:
                await self._asker.ask("PATCH", f"/api/v2/tasks/{self._task_ids[step.name]}", body={"flux": step.text})
            case _:
                await self._name(step)

    async def _name(self, step: Step) -> None:
        """Have InfluxQL find a bucket; from 2.1 on a bucket that was just made is found without."""
        if step.name in await self._find_names():
            return
        body = {
            "orgID": self._org_id,
            "bucketID": self._bucket_ids[step.text],
            "database": self._settings.bucket,
            "retention_policy": step.name,
            "default": step.name == _DEFAULT_NAME,
        }
        await self._asker.ask("POST", "/api/v2/dbrps", body=body)

    async def _find_org(self) -> str:
        found = await self._list("/api/v2/orgs", "orgs", {"org": self._settings.org} if self._settings.org else {})
        if len(found) != 1:
            words = f"the organisation {self._settings.org!r} (influx.org) is not there, or the token may not read it"
            raise HoldError(words, status=_NOT_FOUND)
        return str(found[0]["id"])

    async def _find_bucket(self, name: str) -> Policy | None:
        for one in await self._list("/api/v2/buckets", "buckets", {"orgID": self._org_id, "name": name}):
            if one["name"] == name:
                self._bucket_ids[name] = one["id"]
                rule: dict[str, int] = next(iter(one.get("retentionRules") or ()), {})
                return Policy(name, rule.get("everySeconds", 0), rule.get("shardGroupDurationSeconds", 0))
        return None

    async def _find_task(self, name: str) -> str | None:
        for one in await self._list("/api/v2/tasks", "tasks", {"orgID": self._org_id, "name": name}):
            if one["name"] == name:
                self._task_ids[name] = one["id"]
                return str(one["flux"])
        return None

    async def _find_names(self) -> dict[str, str]:
        """Find what InfluxQL finds already; whatever is its default is the name for readings."""
        query = {"orgID": self._org_id, "db": self._settings.bucket}
        found = await self._list("/api/v2/dbrps", "content", query)
        return {_DEFAULT_NAME if one.get("default") else one["retention_policy"]: one["bucketID"] for one in found}

    async def _list(self, path: str, key: str, params: dict[str, str]) -> list[Any]:
        try:
            answer = await self._asker.ask("GET", path, params=params)
        except HoldError as error:
            # Some versions say so where others send an empty list.
            if error.status == _NOT_FOUND and "not found" in str(error).lower():
                return []
            raise
        return list((answer or {}).get(key) or ())


def _rule(one: Policy) -> dict[str, Any]:
    return {"type": "expire", "everySeconds": one.keep_s, "shardGroupDurationSeconds": one.shard_s}
