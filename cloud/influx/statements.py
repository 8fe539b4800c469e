"""The statements that give InfluxDB 1.x its policies, and thin readings to hours. Pure.

Readings are thinned twice: every half hour what is new, and once a day the last three days, as what a gateway kept
while its line was down comes late. A gateway's clock and `received_at` stay apart: `min_received_at` and
`max_received_at` of an hour tell when its readings came.

Source: "Database management" and "Continuous queries", InfluxDB 1.8; tried on 1.6.7.
"""

from cloud.influx.lines import MEASUREMENT
from cloud.influx.plan import FOREVER, Policy
from cloud.influx.query import quote_ident
from cloud.influx.schema import HOURS_POLICY

THINNING = {"langyan_hours": ("30m", "3h"), "langyan_hours_late": ("1d", "3d")}
"""How often, and how far back, by the name of the continuous query or task."""


def create_database(database: str, policy: Policy) -> str:
    """Write the statement that makes a database whose default policy is this one."""
    how = f"{_span(policy)} REPLICATION 1{_shard(policy)} NAME {quote_ident(policy.name)}"
    return f"CREATE DATABASE {quote_ident(database)} WITH {how}"


def create_policy(policy: Policy, database: str) -> str:
    """Write the statement that makes a policy; one that is there just so is left as it is."""
    return f"CREATE RETENTION POLICY {_on(policy, database)} {_span(policy)} REPLICATION 1{_shard(policy)}"


def alter_policy(policy: Policy, database: str) -> str:
    """Write the statement that keeps for another time."""
    return f"ALTER RETENTION POLICY {_on(policy, database)} {_span(policy)}{_shard(policy)}"


def make_default(name: str, database: str) -> str:
    """Write the statement by which a policy is meant where none is named."""
    return f"ALTER RETENTION POLICY {quote_ident(name)} ON {quote_ident(database)} DEFAULT"


def thin(name: str, raw: str, database: str) -> str:
    """Write a continuous query of `THINNING`; `raw`: the policy it reads."""
    every, back = THINNING[name]
    here, measurement = quote_ident(database), quote_ident(MEASUREMENT)
    into, read = f"{here}.{quote_ident(HOURS_POLICY)}.{measurement}", f"{here}.{quote_ident(raw)}.{measurement}"
    question = f"SELECT mean(*), min(*), max(*) INTO {into} FROM {read} GROUP BY time(1h), * fill(none)"  # noqa: S608 - quoted
    return (
        f"CREATE CONTINUOUS QUERY {quote_ident(name)} ON {here} RESAMPLE EVERY {every} FOR {back} BEGIN {question} END"
    )


def stop_thinning(name: str, database: str) -> str:
    """Write the statement that takes a continuous query away."""
    return f"DROP CONTINUOUS QUERY {quote_ident(name)} ON {quote_ident(database)}"


def _on(policy: Policy, database: str) -> str:
    return f"{quote_ident(policy.name)} ON {quote_ident(database)}"


def _span(policy: Policy) -> str:
    return "DURATION INF" if policy.keep_s == FOREVER else f"DURATION {policy.keep_s}s"


def _shard(policy: Policy) -> str:
    return f" SHARD DURATION {policy.shard_s}s" if policy.shard_s else ""
