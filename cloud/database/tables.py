"""The tables, for SQLite and PostgreSQL. Times are microseconds UTC; migrations create them."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    false,
    text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

# Compared byte by byte on PostgreSQL too, so that "begins with" is a range of an index.
PATH = Text().with_variant(Text(collation="C"), "postgresql")

# <gateway>/<device>/<point>/<rule>, each at most 64 characters.
SOURCE_CHARS = 4 * 64 + 3

occurrence = Table(
    "occurrence",
    metadata,
    # Of the trigger that opened it; it never changes, whatever comes late: links, history and streams hold it.
    Column("alarm_id", String(24), primary_key=True),
    Column("source", String(SOURCE_CHARS), nullable=False, index=True),
    # The source while open, NULL once closed: the database itself keeps one open row a source. NULL too for a test or
    # a drill, of which each raise has a row of its own: none may ever be counted to a live alarm, or the other way.
    Column("open_key", String(SOURCE_CHARS), nullable=True, unique=True),
    Column("gateway", String(64), nullable=False, index=True),
    Column("device", String(64), nullable=False),
    Column("point", String(64), nullable=False),
    Column("rule", String(64), nullable=False),
    Column("kind", String(64), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("text", JSON, nullable=False),
    Column("raised_at_us", BigInteger, nullable=False, index=True),
    Column("received_at_us", BigInteger, nullable=False),
    Column("stored_at_us", BigInteger, nullable=False),
    Column("late", Boolean, nullable=False),
    Column("triggers", Integer, nullable=False),
    Column("last_raised_at_us", BigInteger, nullable=False),
    Column("cleared_at_us", BigInteger, nullable=True),
    Column("acknowledged_at_us", BigInteger, nullable=True),
    Column("acknowledged_by", String(200), nullable=True),
    Column("closed_at_us", BigInteger, nullable=True),
    Column("closed_by", String(200), nullable=True),
    Column("closing_code", String(32), nullable=True),
    Column("comment", Text, nullable=True),
    Column("mode", String(16), nullable=False, server_default="live"),
    # What ISA-18.2 keeps apart beside active and acknowledged.
    Column("latching", Boolean, nullable=False, server_default=false()),
    Column("latched", Boolean, nullable=False, server_default=false()),
    Column("shelved_until_us", BigInteger, nullable=True),
    Column("suppressed_by", String(SOURCE_CHARS), nullable=True),
    Column("out_of_service", Boolean, nullable=False, server_default=false()),
    # Clocks of the response; the first acknowledgement stays when a further trigger takes the present one away.
    Column("shown_at_us", BigInteger, nullable=True),
    Column("first_acknowledged_at_us", BigInteger, nullable=True),
    Column("dispatched_at_us", BigInteger, nullable=True),
    Column("dispatched_by", String(200), nullable=True),
    Column("arrived_at_us", BigInteger, nullable=True),
    Column("arrived_by", String(200), nullable=True),
    # Where it is, as the registry had it when it was raised; the path is the area's, see `area.path`.
    Column("site", String(64), nullable=True, index=True),
    Column("area", String(64), nullable=True),
    Column("area_path", PATH, nullable=False, server_default=""),
    # What the policy of its place and severity asked for when it was raised.
    Column("target_s", Integer, nullable=True),
    # Moments of its latest triggers, at most 8, and whether three of these lie within a minute.
    Column("recent_us", JSON, nullable=False, server_default="[]"),
    Column("chattering", Boolean, nullable=False, server_default=false()),
    # The open list, an area's list, and an area's list of a span of time.
    Index("ix_occurrence_open", "last_raised_at_us", "alarm_id", sqlite_where=text("closed_at_us IS NULL"),
          postgresql_where=text("closed_at_us IS NULL")),
    Index("ix_occurrence_latest", "last_raised_at_us", "alarm_id"),
    Index("ix_occurrence_area_path", "area_path", "raised_at_us"),
)  # fmt: skip

alarm_event = Table(
    "alarm_event",
    metadata,
    Column("event_id", String(64), primary_key=True),
    Column("alarm_id", String(24), nullable=False),
    # NULL while a clear waits for its raise.
    Column("occurrence", ForeignKey("occurrence.alarm_id", onupdate="CASCADE"), nullable=True),
    Column("transition", String(16), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("received_at_us", BigInteger, nullable=False),
    Column("stored_at_us", BigInteger, nullable=False),
    Column("value", JSON(none_as_null=True), nullable=True),
    Index("ix_alarm_event_alarm_id", "alarm_id"),
    Index("ix_alarm_event_at_us", "at_us"),
    Index("ix_alarm_event_occurrence", "occurrence"),
)

dead_letter = Table(
    "dead_letter",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("received_at_us", BigInteger, nullable=False),
    Column("topic", Text, nullable=False),
    Column("gateway", String(64), nullable=True),
    Column("reason", String(32), nullable=False),
    Column("why", Text, nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("payload_size", BigInteger, nullable=False),
    sqlite_autoincrement=True,
)

gateway = Table(
    "gateway",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("boot", String(64), nullable=False),
    Column("version", Text, nullable=False),
    Column("site", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("online", Boolean, nullable=False),
    Column("since_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("inventory", JSON, nullable=False),
)

# What takes an alarm's voice away: shelved by an operator, suppressed by design, out of service for maintenance.
control = Table(
    "control",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    # A source or the beginning of one: gateway, gateway/device, gateway/device/point, or all four.
    Column("target", String(SOURCE_CHARS), nullable=False),
    # `<kind> <target>` while it lasts, NULL once ended: at most one of a kind lasts on a target.
    Column("lasting_key", String(SOURCE_CHARS + 32), nullable=True, unique=True),
    Column("by", String(200), nullable=False),
    Column("origin", String(200), nullable=False),
    Column("why", Text, nullable=False),
    Column("since_us", BigInteger, nullable=False),
    Column("until_us", BigInteger, nullable=True, index=True),
    Column("ended_us", BigInteger, nullable=True),
    Column("ended_by", String(200), nullable=True),
    sqlite_autoincrement=True,
)

# Every change of an alarm or of what controls one, in the order of their commits. Nothing here is ever changed or
# deleted: triggers of the database see to it.
change = Table(
    "change",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("at_us", BigInteger, nullable=False),
    Column("what", String(32), nullable=False),
    # NULL when no occurrence is meant: a source shelved while nothing was open.
    Column("alarm_id", String(24), nullable=True),
    Column("source", String(SOURCE_CHARS), nullable=False),
    Column("area_path", PATH, nullable=False),
    # A user's name, "gateway" for what came by an event, "desk" for what a timer or a rule of the desk did.
    Column("by", String(200), nullable=False),
    # Where from: an address, "mqtt", "worker", "link".
    Column("origin", String(200), nullable=False),
    Column("why", Text, nullable=False),
    # The fields that changed, {name: [before, after]}; of a new occurrence, the new values: {name: [null, after]}.
    Column("fields", JSON, nullable=False),
    Index("ix_change_alarm_id", "alarm_id", "id"),
    sqlite_autoincrement=True,
)

# How far each reader of `change` has come.
cursor = Table(
    "cursor",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("change_id", BigInteger, nullable=False),
)
