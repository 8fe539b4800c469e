"""The SQL database that ingest and desk share: alarms, dead letters, gateways."""

from cloud.database.dead_letters import DeadLetter
from cloud.database.engine import Database, PersistentDatabase, open_database, planned_anew
from cloud.database.gateways import GatewayRow, list_gateways

__all__ = [
    "Database",
    "DeadLetter",
    "GatewayRow",
    "PersistentDatabase",
    "list_gateways",
    "open_database",
    "planned_anew",
]
