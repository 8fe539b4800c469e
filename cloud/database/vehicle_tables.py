"""The tables of vehicles: last positions and fences; tracks are in InfluxDB."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
    false,
)

from cloud.database.tables import metadata

vehicle = Table(
    "vehicle",
    metadata,
    Column("id", String(48), primary_key=True),
    Column("plate", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", String(64), nullable=False),
    # Vehicles that are told something together: "school buses".
    Column("fleet", Text, nullable=False),
    # The area it belongs to. Not a foreign key: an area that goes takes no vehicle with it.
    Column("area", String(64), nullable=False, index=True),
    # The terminal in it.
    Column("gateway", String(64), nullable=False),
    Column("device", String(64), nullable=False),
    # Whether it is an alarm that it moves with its ignition off.
    Column("guarded", Boolean, nullable=False, server_default=false()),
    # When it may move, local time; without `begins` and `ends`: at any time. As in `duty`.
    Column("weekdays", String(32), nullable=False),
    Column("begins", String(5), nullable=True),
    Column("ends", String(5), nullable=True),
    Index("ix_vehicle_gateway_device", "gateway", "device", unique=True),
)

# Where a vehicle is: one row a vehicle, made with it; empty until its first report.
vehicle_position = Table(
    "vehicle_position",
    metadata,
    Column("vehicle", ForeignKey("vehicle.id", ondelete="CASCADE"), primary_key=True),
    # The terminal's own time of the newest report.
    Column("at_us", BigInteger, nullable=True, index=True),
    Column("received_at_us", BigInteger, nullable=True),
    Column("latitude_deg", Float, nullable=True),
    Column("longitude_deg", Float, nullable=True),
    Column("speed_kmh", Float, nullable=True),
    Column("course_deg", Float, nullable=True),
    Column("ignition", Boolean, nullable=True),
    # No other report agrees with it yet: it may be a jump of the receiver.
    Column("doubtful", Boolean, nullable=False, server_default=false()),
    # `cloud.vehicles.judging.State` as MessagePack; NULL: nothing has been judged.
    Column("state", LargeBinary, nullable=True),
)

vehicle_fence = Table(
    "vehicle_fence",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    # Whose vehicles it concerns, with all areas below.
    Column("area", String(64), nullable=False, index=True),
    # stay: leaving it is an alarm; avoid: entering it is.
    Column("rule", String(8), nullable=False),
    # Only this vehicle, or only this fleet; NULL: all of the area.
    Column("vehicle", ForeignKey("vehicle.id", ondelete="CASCADE"), nullable=True, index=True),
    Column("fleet", Text, nullable=True),
    # A circle, or an outline: [[longitude, latitude], ...], each corner once.
    Column("latitude_deg", Float, nullable=True),
    Column("longitude_deg", Float, nullable=True),
    Column("radius_m", Float, nullable=True),
    Column("outline", JSON(none_as_null=True), nullable=True),
    # So far beyond its line a report must lie to count as outside.
    Column("margin_m", Float, nullable=False),
    Column("severity", String(16), nullable=False),
    # When it holds, local time; without `begins` and `ends`: at any time. As in `duty`.
    Column("weekdays", String(32), nullable=False),
    Column("begins", String(5), nullable=True),
    Column("ends", String(5), nullable=True),
    # Later than that of every edit before.
    Column("edited_at_us", BigInteger, nullable=False),
)
