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
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
    }
)

# <gateway>/<device>/<point>/<rule>, each at most 64 characters.
SOURCE_CHARS = 4 * 64 + 3

occurrence = Table(
    "occurrence",
    metadata,
    # That of its earliest raise, or one made of the moment of a later trigger when that opened the row.
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
)

alarm_event = Table(
    "alarm_event",
    metadata,
    Column("event_id", String(64), primary_key=True),
    Column("alarm_id", String(24), nullable=False),
    # NULL while a clear waits for its raise. An earlier raise that comes late renames its occurrence.
    Column("occurrence", ForeignKey("occurrence.alarm_id", onupdate="CASCADE"), nullable=True),
    Column("transition", String(16), nullable=False),
    Column("at_us", BigInteger, nullable=False),
    Column("received_at_us", BigInteger, nullable=False),
    Column("stored_at_us", BigInteger, nullable=False),
    Column("value", JSON(none_as_null=True), nullable=True),
    Index("ix_alarm_event_alarm_id", "alarm_id"),
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
