"""The tables between ingest and the trades: what was heard and waits to be judged, and what waits for InfluxDB."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, String, Table

from cloud.database.tables import metadata

_ID = BigInteger().with_variant(Integer(), "sqlite")

# Samples that concern a trade, a row a message, until the trade has taken them. In no order that means anything.
observation = Table(
    "observation",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    # bikes, patrols or vehicles.
    Column("trade", String(16), nullable=False),
    Column("gateway", String(64), nullable=False),
    Column("received_at_us", BigInteger, nullable=False),
    # `contract.telemetry.Sample`s as MessagePack.
    Column("samples", LargeBinary, nullable=False),
    Index("ix_observation_trade", "trade", "id"),
    sqlite_autoincrement=True,
)

# Lines of what the trades found out, until InfluxDB has them.
measure = Table(
    "measure",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("line", LargeBinary, nullable=False),
    sqlite_autoincrement=True,
)

# What only one worker does at a time, and until when it has said that it does it.
lease = Table(
    "lease",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(64), nullable=False),
    Column("until_us", BigInteger, nullable=False),
)
