"""The tables of fire danger: stations, their days and their state."""

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

from cloud.database.tables import metadata

_ID = BigInteger().with_variant(Integer(), "sqlite")

fire_station = Table(
    "fire_station",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    # NULL: the area in which its gateway stands.
    Column("area", String(64), nullable=True),
    Column("gateway", String(64), nullable=False, index=True),
    Column("device", String(64), nullable=False),
    # Which points are what; NULL: there is none.
    Column("temperature", String(64), nullable=False),
    Column("humidity", String(64), nullable=False),
    Column("wind", String(64), nullable=False),
    # m/s or km/h.
    Column("wind_unit", String(8), nullable=False),
    Column("wind_force", String(64), nullable=True),
    Column("rain", String(64), nullable=False),
    # counter or 24h.
    Column("rain_kind", String(8), nullable=False),
    # A counter that has counted so much begins at 0 again; NULL: it is only ever cleared.
    Column("rain_wrap_mm", Float, nullable=True),
    Column("latitude_deg", Float, nullable=False),
    Column("longitude_deg", Float, nullable=False),
    # Local standard time; NULL: that of the desk's time zone.
    Column("utc_offset_h", Float, nullable=True),
    Column("start_ffmc", Float, nullable=False),
    Column("start_dmc", Float, nullable=False),
    Column("start_dc", Float, nullable=False),
    # The day from which the coordinates hold; NULL: since it is registered.
    Column("moved_on", Date, nullable=True),
    # yes or no: it is kept, but no longer worked out.
    Column("active", String(3), nullable=False),
)

# From which day on a station stands where; and, where codes are given, begins anew with them.
fire_turn = Table(
    "fire_turn",
    metadata,
    Column("station", ForeignKey("fire_station.id", ondelete="CASCADE"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("latitude_deg", Float, nullable=False),
    Column("longitude_deg", Float, nullable=False),
    Column("ffmc", Float, nullable=True),
    Column("dmc", Float, nullable=True),
    Column("dc", Float, nullable=True),
    Column("by", String(200), nullable=False),
    Column("why", Text, nullable=False),
)

# One day of a station: what was read, whether it can be believed, what drove the index, and what came of it.
fire_day = Table(
    "fire_day",
    metadata,
    Column("station", ForeignKey("fire_station.id", ondelete="CASCADE"), primary_key=True),
    Column("day", Date, primary_key=True),
    # Of the readings taken for noon; as they were read, believed or not.
    Column("noon_at_us", BigInteger, nullable=True),
    Column("temp_c", Float, nullable=True),
    Column("rh_pct", Float, nullable=True),
    Column("wind_kmh", Float, nullable=True),
    Column("rain_mm", Float, nullable=True),
    # Of each of the four: good, missing, frozen, impossible or unit.
    Column("temp_verdict", String(16), nullable=False),
    Column("rh_verdict", String(16), nullable=False),
    Column("wind_verdict", String(16), nullable=False),
    Column("rain_verdict", String(16), nullable=False),
    # At 14 h and until 15 h, for the Chinese rating.
    Column("max_temp_c", Float, nullable=True),
    Column("afternoon_rh_pct", Float, nullable=True),
    Column("afternoon_wind_kmh", Float, nullable=True),
    # What drove the codes, by `rule`: observed, started, interpolated, carried; none: nothing did.
    Column("rule", String(16), nullable=False),
    Column("used_temp_c", Float, nullable=True),
    Column("used_rh_pct", Float, nullable=True),
    Column("used_wind_kmh", Float, nullable=True),
    Column("used_rain_mm", Float, nullable=True),
    Column("ffmc", Float, nullable=True),
    Column("dmc", Float, nullable=True),
    Column("dc", Float, nullable=True),
    Column("isi", Float, nullable=True),
    Column("bui", Float, nullable=True),
    Column("fwi", Float, nullable=True),
    Column("dsr", Float, nullable=True),
    Column("dry_days", Integer, nullable=False),
    # 1 to 6.
    Column("effis", Integer, nullable=True),
    Column("canada", Integer, nullable=True),
    # Chinese rating, adapted: points, and 1 to 5.
    Column("china_index", Integer, nullable=True),
    Column("china", Integer, nullable=True),
    # When its readings were looked at last.
    Column("picked_at_us", BigInteger, nullable=False),
    Index("ix_fire_day_day", "day"),
)

# What was said of a day before later readings changed it; only ever appended.
fire_correction = Table(
    "fire_correction",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("station", ForeignKey("fire_station.id", ondelete="CASCADE"), nullable=False),
    Column("day", Date, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    # The changed columns of `fire_day`, each with the value before and after.
    Column("changed", JSON, nullable=False),
    Index("ix_fire_correction_station", "station", "day"),
    sqlite_autoincrement=True,
)

# How a station stands now.
fire_level = Table(
    "fire_level",
    metadata,
    Column("station", ForeignKey("fire_station.id", ondelete="CASCADE"), primary_key=True),
    Column("day", Date, nullable=False),
    # 1 to 6 by the settings' scheme.
    Column("level", Integer, nullable=False),
    # The alarm that stands; NULL: none.
    Column("raised_at_us", BigInteger, nullable=True),
    # The fine fuel moisture code by the hour, and of which hour.
    Column("hourly_ffmc", Float, nullable=True),
    Column("hourly_at_us", BigInteger, nullable=True),
)
