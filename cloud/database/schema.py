"""All tables in one `metadata`, whichever module names them."""

from cloud.database import area_tables, escalation_tables, number_tables, people_tables
from cloud.database.tables import metadata

__all__ = ["area_tables", "escalation_tables", "metadata", "number_tables", "people_tables"]
