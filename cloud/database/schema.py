"""All tables in one `metadata`, whichever module names them."""

from cloud.database import (
    area_tables,
    bike_tables,
    detection_tables,
    escalation_tables,
    feed_tables,
    fire_tables,
    grafana_tables,
    number_tables,
    order_tables,
    patrol_tables,
    people_tables,
    vehicle_tables,
)
from cloud.database.tables import metadata

__all__ = [
    "area_tables",
    "bike_tables",
    "detection_tables",
    "escalation_tables",
    "feed_tables",
    "fire_tables",
    "grafana_tables",
    "metadata",
    "number_tables",
    "order_tables",
    "patrol_tables",
    "people_tables",
    "vehicle_tables",
]
