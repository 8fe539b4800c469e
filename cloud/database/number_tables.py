"""The tables of numbers: alarms counted by area and day, and when gateways came and went."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Date, Index, Integer, String, Table, Text

from cloud.database.tables import metadata

# What happened in an area and all below it on one local day, by kind and severity of alarm.
tally = Table(
    "tally",
    metadata,
    Column("area", String(64), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("kind", String(64), primary_key=True),
    Column("severity", String(16), primary_key=True),
    # `cloud.numbers.tally.Tally` as JSON: counts, and times in buckets.
    Column("tally", JSON, nullable=False),
)

# A gateway's births and deaths, for its availability.
presence_change = Table(
    "presence_change",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("gateway", String(64), nullable=False),
    Column("online", Boolean, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_presence_change_gateway", "gateway", "at_us"),
    sqlite_autoincrement=True,
)
