"""The table of what Grafana is told: one annotation an alarm."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from cloud.database.tables import metadata

# An alarm as it is to be marked on Grafana's trends, and what Grafana has of it.
grafana_annotation = Table(
    "grafana_annotation",
    metadata,
    Column("alarm_id", String(24), primary_key=True),
    # The request's fields as they should be: a `cloud.grafana.marks.Mark` as JSON, and its digest.
    Column("mark", Text, nullable=False),
    Column("wanted", String(16), nullable=False),
    # The digest of what Grafana has, or has refused; NULL: nothing yet.
    Column("told", String(16), nullable=True),
    # Grafana's id; NULL: it has none of it, as far as we know.
    Column("annotation_id", BigInteger, nullable=True),
    # When somebody began to ask for a new one and has noted no answer: it may be there all the same.
    Column("asked_at_us", BigInteger, nullable=True),
    # New ones asked for, and failures in a row.
    Column("asked", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    # When something is to be done next; NULL: nothing.
    Column("due_at_us", BigInteger, nullable=True),
    # Why Grafana has refused it; "" where it has not.
    Column("error", Text, nullable=False),
    # Nothing more will happen to its alarm, and since when nothing has.
    Column("is_closed", Boolean, nullable=False),
    Column("changed_at_us", BigInteger, nullable=False),
    Index("ix_grafana_annotation_due_at_us", "due_at_us"),
    Index("ix_grafana_annotation_changed_at_us", "changed_at_us"),
)
