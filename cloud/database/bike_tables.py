"""The tables of bike watch: the registry, where tags are and were, what is armed, cases. See docs/bikes.md."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    false,
    text,
    true,
)

from cloud.database.tables import SOURCE_CHARS, metadata
from contract.limits import MAX_TAG_CHARS

_ID = BigInteger().with_variant(Integer(), "sqlite")
_TAG = String(MAX_TAG_CHARS)
_LASTS = text("until_us IS NULL")
_OPEN = text("closed_us IS NULL")

bike = Table(
    "bike",
    metadata,
    Column("id", String(64), primary_key=True),
    # The area it belongs to. Not a foreign key: an area that goes takes no bike with it.
    Column("area", String(64), nullable=False),
    Column("tag", _TAG, nullable=True, unique=True),
    # The tag that its owner carries; one may be of several bikes.
    Column("owner_tag", _TAG, nullable=True),
    Column("plate", Text, nullable=False),
    Column("note", Text, nullable=False),
    # Armed when the owner's tag leaves it, disarmed when that comes back.
    Column("by_owner", Boolean, nullable=False, server_default=false()),
    # Hours in which it is armed, local HH:MM, on space-separated days (mon ... sun) on which they begin.
    Column("arm_from", String(5), nullable=True),
    Column("arm_to", String(5), nullable=True),
    Column("arm_days", String(32), nullable=True),
    # When those hours begin or end next, as far as is known.
    Column("hours_due_us", BigInteger, nullable=True),
    # When it is looked at whether its owner's tag is near.
    Column("owner_due_us", BigInteger, nullable=True),
    # NULL: as the settings have it.
    Column("silent_after_s", Integer, nullable=True),
    Column("stolen_us", BigInteger, nullable=True),
    Index("ix_bike_area", "area", "id"),
    Index("ix_bike_hours_due_us", "hours_due_us", "id", sqlite_where=text("hours_due_us IS NOT NULL"),
          postgresql_where=text("hours_due_us IS NOT NULL")),
    Index("ix_bike_owner_due_us", "owner_due_us", "id", sqlite_where=text("owner_due_us IS NOT NULL"),
          postgresql_where=text("owner_due_us IS NOT NULL")),
    # Of those that have one: where no bike has, SQLite would take an index of all for useless and read all bikes.
    Index("ix_bike_owner_tag", "owner_tag", sqlite_where=text("owner_tag IS NOT NULL"),
          postgresql_where=text("owner_tag IS NOT NULL")),
    Index("ix_bike_stolen_us", "id", sqlite_where=text("stolen_us IS NOT NULL"),
          postgresql_where=text("stolen_us IS NOT NULL")),
)  # fmt: skip

# Whose a bike is: all that is personal, and nowhere else. Who reads it is written into the audit.
bike_owner = Table(
    "bike_owner",
    metadata,
    Column("bike", ForeignKey("bike.id", ondelete="CASCADE"), primary_key=True),
    Column("name", Text, nullable=False),
    Column("phone", Text, nullable=False),
    Column("address", Text, nullable=False),
)

# Who hears tags: the device of a gateway's station.
bike_station = Table(
    "bike_station",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("gateway", String(64), nullable=False),
    Column("device", String(64), nullable=False),
    Column("heard_us", BigInteger, nullable=False),
    # Tags that came here, on the local day that `day` says.
    Column("day", Date, nullable=True),
    Column("moves", Integer, nullable=False, server_default="0"),
    Index("ix_bike_station_gateway", "gateway", "device", unique=True),
)

# A tag that is followed, once somebody has heard it.
bike_tag = Table(
    "bike_tag",
    metadata,
    Column("tag", _TAG, primary_key=True),
    # NULL: at none.
    Column("station", ForeignKey("bike_station.id"), nullable=True, index=True),
    Column("since_us", BigInteger, nullable=True),
    Column("heard_us", BigInteger, nullable=False, index=True),
    Column("battery_v", Float, nullable=True),
    Column("low_us", BigInteger, nullable=True),
    # When the alarm that stands was raised.
    Column("silent_us", BigInteger, nullable=True),
    Column("cloned_us", BigInteger, nullable=True),
    # When it was last where it cannot have come, while that alarm stands.
    Column("cloned_last_us", BigInteger, nullable=True),
    # What was said of it lately, `cloud.bikes.life.Life` as MessagePack.
    Column("life", LargeBinary, nullable=False),
    Index("ix_bike_tag_low_us", "tag", sqlite_where=text("low_us IS NOT NULL"),
          postgresql_where=text("low_us IS NOT NULL")),
    Index("ix_bike_tag_silent_us", "tag", sqlite_where=text("silent_us IS NOT NULL"),
          postgresql_where=text("silent_us IS NOT NULL")),
    Index("ix_bike_tag_cloned_last_us", "cloned_last_us", sqlite_where=text("cloned_last_us IS NOT NULL"),
          postgresql_where=text("cloned_last_us IS NOT NULL")),
)  # fmt: skip

# Where a tag was, and from when until when; those of one tag never overlap. Without a rowid the rows of a tag lie
# side by side.
bike_stay = Table(
    "bike_stay",
    metadata,
    Column("tag", _TAG, primary_key=True),
    Column("from_us", BigInteger, primary_key=True),
    # NULL: it lasts.
    Column("until_us", BigInteger, nullable=True),
    Column("station", Integer, nullable=False),
    sqlite_with_rowid=False,
)

# Times in which a bike is armed; at most one of a bike lasts.
bike_arming = Table(
    "bike_arming",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("bike", ForeignKey("bike.id", ondelete="CASCADE"), nullable=False, index=True),
    # owner, hours or person.
    Column("how", String(16), nullable=False),
    Column("since_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=True),
    Column("by", String(200), nullable=False),
    Column("ended_by", String(200), nullable=True),
    # Where its tag was then.
    Column("station", ForeignKey("bike_station.id"), nullable=True),
    # A movement that may be a theft: when, to which station, and when it is decided. Without a station: the last one,
    # which was its owner's.
    Column("moved_us", BigInteger, nullable=True),
    Column("moved_to", ForeignKey("bike_station.id"), nullable=True),
    Column("due_us", BigInteger, nullable=True),
    Index("ix_bike_arming_lasting", "bike", unique=True, sqlite_where=_LASTS, postgresql_where=_LASTS),
    Index("ix_bike_arming_until_us", "until_us"),
    Index("ix_bike_arming_due_us", "due_us", sqlite_where=text("due_us IS NOT NULL"),
          postgresql_where=text("due_us IS NOT NULL")),
    sqlite_autoincrement=True,
)  # fmt: skip

# What a gateway was told of a tag last; its answer is kept with the order.
bike_told = Table(
    "bike_told",
    metadata,
    Column("tag", _TAG, primary_key=True),
    Column("gateway", String(64), primary_key=True),
    Column("is_armed", Boolean, nullable=False),
    Column("order_id", String(64), nullable=False),
    Column("at_us", BigInteger, nullable=False, index=True),
)

bike_case = Table(
    "bike_case",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("bike", ForeignKey("bike.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("tag", _TAG, nullable=False),
    # theft or stolen.
    Column("kind", String(16), nullable=False),
    Column("opened_us", BigInteger, nullable=False),
    Column("opened_by", String(200), nullable=False),
    # In which it was moved; NULL where only the gateway knew that it was armed, and of what was reported.
    Column("arming", BigInteger, nullable=True, index=True),
    # The alarm that says it, and when that was raised.
    Column("source", String(SOURCE_CHARS), nullable=True, index=True),
    Column("raised_us", BigInteger, nullable=True),
    Column("alarm_id", String(24), nullable=True, index=True),
    Column("hits", Integer, nullable=False, server_default="0"),
    # When and how often its trail was written into the history of its alarm.
    Column("told_us", BigInteger, nullable=False, server_default="0"),
    Column("comments", Integer, nullable=False, server_default="0"),
    Column("closed_us", BigInteger, nullable=True),
    Column("closed_by", String(200), nullable=True),
    # recovered, owner, or a closing code of the desk.
    Column("outcome", String(32), nullable=True),
    Index("ix_bike_case_closed_us", "closed_us"),
    # One open case a bike.
    Index("ix_bike_case_open", "bike", unique=True, sqlite_where=_OPEN, postgresql_where=_OPEN),
    sqlite_autoincrement=True,
)

# What is known of a case: the trail, the hits, and what people did.
bike_case_step = Table(
    "bike_case_step",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("case", ForeignKey("bike_case.id", ondelete="CASCADE"), nullable=False, index=True),
    # seen, hit, alarm, marked, recovered, closed.
    Column("what", String(16), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=False),
    # So many hits, which count as one.
    Column("count", Integer, nullable=False),
    Column("station", ForeignKey("bike_station.id"), nullable=True),
    Column("words", Text, nullable=False),
    # Whether the history of its alarm has it.
    Column("is_told", Boolean, nullable=False, server_default=true()),
    Index("ix_bike_case_step_untold", "case", sqlite_where=text("NOT is_told"), postgresql_where=text("NOT is_told")),
    sqlite_autoincrement=True,
)
