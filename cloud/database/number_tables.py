"""The tables of numbers: alarms counted by area and day, busy sources, and when gateways came and went."""

from sqlalchemy import BigInteger, Boolean, Column, Date, Index, Integer, String, Table, Text, text

from cloud.database.tables import PATH, SOURCE_CHARS, metadata

# What happened in an area and all below it in one local day or month; the empty path is everything.
tally = Table(
    "tally",
    metadata,
    Column("area_path", PATH, primary_key=True),
    # day or month.
    Column("span", String(8), primary_key=True),
    Column("first_day", Date, primary_key=True),
    # As `cloud.numbers.written` has it. `own`: of a day, what happened in the area itself; `total`: with all below
    # it, NULL while that is the same.
    Column("own", Text, nullable=True),
    Column("total", Text, nullable=True),
    # Of a day that InfluxDB has not got yet: counted up with each change, so that a change under way is not forgotten.
    Column("untold", Integer, nullable=True),
    # For counting a day or a month of all areas anew.
    Index("ix_tally_first_day", "first_day", "span"),
    Index("ix_tally_untold", "first_day", "area_path", sqlite_where=text("untold IS NOT NULL"),
          postgresql_where=text("untold IS NOT NULL")),
)  # fmt: skip

# Sources that were annunciated three times or more in one local month; bad actors are found among them.
busy_source = Table(
    "busy_source",
    metadata,
    Column("month", Date, primary_key=True),
    Column("source", String(SOURCE_CHARS), primary_key=True),
    # Where it is; of several places in one month the greatest path, so that a repeat says the same.
    Column("area_path", PATH, nullable=False),
    Column("kind", String(64), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("triggers", Integer, nullable=False),
    # All that is summed up to find the busiest.
    Index("ix_busy_source_area_path", "month", "area_path", "source", "triggers"),
)

# A gateway's births and deaths, for its availability: what ended, and what began.
presence_change = Table(
    "presence_change",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("gateway", String(64), nullable=False),
    Column("online", Boolean, nullable=False),
    # Since when, microseconds UTC, and since when it had been the other way.
    Column("at_us", BigInteger, nullable=False),
    Column("before_us", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Index("ix_presence_change_gateway", "gateway", "at_us", "online", "before_us"),
    # What was over by when: an outage ends with a birth.
    Index("ix_presence_change_at_us", "at_us", "online", "before_us", "gateway", sqlite_where=text("online"),
          postgresql_where=text("online")),
    sqlite_autoincrement=True,
)  # fmt: skip
