"""The tables of areas: the tree, who is on duty, what must happen, and what stands where."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
)

from cloud.database.tables import PATH, metadata

area = Table(
    "area",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("parent", ForeignKey("area.id"), nullable=True, index=True),
    # grid, street, town, county, city or province.
    Column("level", String(16), nullable=False),
    Column("name", Text, nullable=False),
    # The ids from the root down, each followed by "/": what begins with it lies within.
    Column("path", PATH, nullable=False, unique=True),
    Column("latitude_deg", Float, nullable=True),
    Column("longitude_deg", Float, nullable=True),
    # A GeoJSON geometry, for maps.
    Column("outline", JSON(none_as_null=True), nullable=True),
)

contact = Table(
    "contact",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("area", ForeignKey("area.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("language", String(8), nullable=False),
    # [{"channel": name of a [[telling.channel]], "address": ...}], in the order of preference.
    Column("addresses", JSON, nullable=False),
    # Local times HH:MM; NULL: never quiet.
    Column("quiet_from", String(5), nullable=True),
    Column("quiet_to", String(5), nullable=True),
    # NULL: as many as there are.
    Column("max_per_hour", Integer, nullable=True),
)

# The regular roster. A shift whose end is not after its beginning goes on over midnight.
duty = Table(
    "duty",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("area", ForeignKey("area.id"), nullable=False, index=True),
    Column("contact", ForeignKey("contact.id"), nullable=False),
    # Space-separated: mon tue wed thu fri sat sun.
    Column("weekdays", String(32), nullable=False),
    Column("begins", String(5), nullable=False),
    Column("ends", String(5), nullable=False),
    Column("first_day", Date, nullable=True),
    Column("last_day", Date, nullable=True),
    # 1 is told first, 2 stands in.
    Column("rank", Integer, nullable=False),
)

# A hand-over: for its time it takes the place of the regular roster of its area.
handover = Table(
    "handover",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("area", ForeignKey("area.id"), nullable=False),
    Column("contact", ForeignKey("contact.id"), nullable=False),
    Column("from_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
    Column("why", Text, nullable=False),
    Index("ix_handover_area_until", "area", "until_us"),
)

# What must happen with an alarm of a severity in an area and below, where nothing nearer is said.
policy = Table(
    "policy",
    metadata,
    Column("area", ForeignKey("area.id"), primary_key=True),
    Column("severity", String(16), primary_key=True),
    # `cloud.escalation.plan.Policy` as JSON.
    Column("policy", JSON, nullable=False),
)

site = Table(
    "site",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("area", ForeignKey("area.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("address", Text, nullable=False),
    Column("latitude_deg", Float, nullable=True),
    Column("longitude_deg", Float, nullable=True),
    # SP1 to SP6, DP1 to DP4 (EN 50136-1), or NULL.
    Column("transmission_class", String(8), nullable=True),
)

registered_gateway = Table(
    "registered_gateway",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("site", ForeignKey("site.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("latitude_deg", Float, nullable=True),
    Column("longitude_deg", Float, nullable=True),
)

registered_device = Table(
    "registered_device",
    metadata,
    Column("gateway", ForeignKey("registered_gateway.id"), primary_key=True),
    Column("device", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    # Where in the site: "gate house, left of the window".
    Column("place", Text, nullable=False),
    Column("latitude_deg", Float, nullable=True),
    Column("longitude_deg", Float, nullable=True),
)
