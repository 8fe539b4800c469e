"""The tables of patrols: points, routes, plans, people and wands; tours, visits and the verdicts on them."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Date, Float, Index, Integer, String, Table, Text, false

from cloud.database.tables import PATH, metadata

_ID = BigInteger().with_variant(Integer(), "sqlite")

# What the sheets of an import hold. Areas and sites are named without a foreign key: what is taken out of the tree
# takes no patrol with it, and `langyan patrols check` tells.
patrol_point = Table(
    "patrol_point",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("area", String(64), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("place", Text, nullable=False),
    Column("latitude_deg", Float, nullable=True),
    Column("longitude_deg", Float, nullable=True),
    Column("radius_m", Integer, nullable=True),
    # Pairs of latitude and longitude.
    Column("outline", JSON(none_as_null=True), nullable=True),
    Column("stay_s", Integer, nullable=False),
)
patrol_card = Table(
    "patrol_card",
    metadata,
    Column("card", String(64), primary_key=True),
    Column("point", String(64), nullable=False),
)
patrol_route = Table(
    "patrol_route",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("area", String(64), nullable=False, index=True),
    Column("site", String(64), nullable=True),
    Column("name", Text, nullable=False),
    # timed, ordered or free
    Column("order", String(16), nullable=False),
    Column("early_min", Integer, nullable=False),
    Column("late_min", Integer, nullable=False),
)
patrol_route_point = Table(
    "patrol_route_point",
    metadata,
    Column("route", String(64), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("point", String(64), nullable=False, index=True),
    Column("must", Boolean, nullable=False),
    Column("minutes_to_next", Integer, nullable=False),
    Column("early_min", Integer, nullable=True),
    Column("late_min", Integer, nullable=True),
)
patrol_person = Table(
    "patrol_person",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("area", String(64), nullable=False, index=True),
    Column("name", Text, nullable=False),
)
patrol_wand = Table(
    "patrol_wand",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("area", String(64), nullable=False, index=True),
    Column("name", Text, nullable=False),
    # What it says of itself, and where it is heard; a wand may have either or both.
    Column("machine", String(64), nullable=True, index=True),
    Column("gateway", String(64), nullable=True),
    Column("device", String(64), nullable=True),
    # Its positions are visits.
    Column("gps", Boolean, nullable=False),
    Index("ix_patrol_wand_device", "gateway", "device"),
)
patrol_carrier = Table(
    "patrol_carrier",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("wand", String(64), nullable=False, index=True),
    Column("person", String(64), nullable=False),
    Column("weekdays", String(32), nullable=False),
    Column("begins", String(5), nullable=False),
    Column("ends", String(5), nullable=False),
    Column("first_day", Date, nullable=True),
    Column("last_day", Date, nullable=True),
)
patrol_plan = Table(
    "patrol_plan",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("route", String(64), nullable=False, index=True),
    Column("weekdays", String(32), nullable=False),
    # Local times HH:MM or HH:MM:SS with blanks between.
    Column("starts", Text, nullable=False),
    Column("duration_min", Integer, nullable=False),
    Column("first_day", Date, nullable=True),
    Column("last_day", Date, nullable=True),
    # Ids with blanks between; empty: anybody.
    Column("people", Text, nullable=False),
    Column("wands", Text, nullable=False),
    Column("tell_late", Boolean, nullable=False),
    # Sign of life every so many minutes; NULL: nobody walks alone.
    Column("lone_min", Integer, nullable=True),
    # Tours that begin before it are made.
    Column("made_until_us", BigInteger, nullable=False, index=True),
)

# A tour as it was planned when it was made; later changes of the plan change no tour that has begun.
patrol_tour = Table(
    "patrol_tour",
    metadata,
    Column("id", String(90), primary_key=True),
    Column("plan", String(64), nullable=False, index=True),
    Column("route", String(64), nullable=False),
    Column("name", Text, nullable=False),
    Column("site", String(64), nullable=True),
    Column("area", String(64), nullable=True),
    Column("area_path", PATH, nullable=False),
    # The local day on which it begins.
    Column("day", Date, nullable=False),
    Column("begins_us", BigInteger, nullable=False),
    Column("ends_us", BigInteger, nullable=False),
    Column("catch_from_us", BigInteger, nullable=False),
    Column("catch_until_us", BigInteger, nullable=False),
    # `cloud.patrols.plans.Tour` as JSON.
    Column("tour", JSON, nullable=False),
    Column("tell_late", Boolean, nullable=False),
    Column("lone_min", Integer, nullable=True),
    # When to look at it next; NULL: nothing will change it but a late visit.
    Column("due_us", BigInteger, nullable=True, index=True),
    # It waits for a wand to be read out.
    Column("waits", Boolean, nullable=False, server_default=false()),
    # `cloud.patrols.verdicts.Judged` as JSON; NULL: never looked at.
    Column("judged", JSON(none_as_null=True), nullable=True),
    # `cloud.patrols.judging.TourState`.
    Column("state", String(16), nullable=False),
    # By what is said, `cloud.patrols.saying.Standing` as JSON: of the alarms that stand.
    Column("alarms", JSON, nullable=False),
    Index("ix_patrol_tour_area_path", "area_path", "day"),
    Index("ix_patrol_tour_day", "day"),
)
# For whom a tour is found: by the points on it, by the wands that may walk it.
patrol_stop = Table(
    "patrol_stop",
    metadata,
    Column("tour", String(90), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("point", String(64), nullable=False),
    Column("catch_from_us", BigInteger, nullable=False),
    Column("catch_until_us", BigInteger, nullable=False),
    Index("ix_patrol_stop_point", "point", "catch_from_us"),
)
patrol_tour_wand = Table(
    "patrol_tour_wand",
    metadata,
    Column("tour", String(90), primary_key=True),
    Column("wand", String(64), primary_key=True),
    Column("catch_from_us", BigInteger, nullable=False),
    Column("catch_until_us", BigInteger, nullable=False),
    Index("ix_patrol_tour_wand_wand", "wand", "catch_from_us"),
)
# Tours to be judged at once. Whoever has news of a tour appends a row and locks nothing.
patrol_wake = Table(
    "patrol_wake",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("tour", String(90), nullable=False),
    sqlite_autoincrement=True,
)
# Every change of a verdict, appended to, never changed.
patrol_verdict = Table(
    "patrol_verdict",
    metadata,
    Column("id", _ID, primary_key=True, autoincrement=True),
    Column("tour", String(90), nullable=False, index=True),
    Column("position", Integer, nullable=False),
    Column("at_us", BigInteger, nullable=False),
    # NULL: the first.
    Column("before", String(16), nullable=True),
    Column("after", String(16), nullable=False),
    Column("visit", String(64), nullable=True),
    Column("visited_at_us", BigInteger, nullable=True),
    sqlite_autoincrement=True,
)

patrol_visit = Table(
    "patrol_visit",
    metadata,
    # A digest of who read which card when: what comes twice is one.
    Column("id", String(24), primary_key=True),
    Column("origin", String(140), nullable=False),
    Column("wand", String(64), nullable=True),
    Column("person", String(64), nullable=True),
    Column("card", String(64), nullable=False),
    Column("point", String(64), nullable=True, index=True),
    Column("visited_at_us", BigInteger, nullable=False, index=True),
    Column("received_at_us", BigInteger, nullable=False),
    # wand, file or hand
    Column("source", String(16), nullable=False),
    Column("area_path", PATH, nullable=False),
    Column("tour", String(90), nullable=True, index=True),
)
patrol_hit = Table(
    "patrol_hit",
    metadata,
    Column("origin", String(140), primary_key=True),
    Column("hit_at_us", BigInteger, primary_key=True, autoincrement=False),
    Column("wand", String(64), nullable=True, index=True),
    Column("received_at_us", BigInteger, nullable=False),
)
# How far each wand has been read out.
patrol_sync = Table(
    "patrol_sync",
    metadata,
    Column("wand", String(64), primary_key=True),
    # [[synced_at_us, received_at_us], ...], the latest 8.
    Column("recent", JSON, nullable=False),
    Column("synced_at_us", BigInteger, nullable=False),
    Column("records", Integer, nullable=True),
    Column("hits", Integer, nullable=True),
    Column("clock_error_s", Float, nullable=True),
    # Of the alarm that it is not read out; NULL: none stands.
    Column("silent_raised_at_us", BigInteger, nullable=True),
)
# Positions within a point.
patrol_fix = Table(
    "patrol_fix",
    metadata,
    Column("wand", String(64), primary_key=True),
    Column("at_us", BigInteger, primary_key=True, autoincrement=False),
    Column("point", String(64), primary_key=True),
)
# Somebody who walks alone, and when a sign of life is due.
patrol_watch = Table(
    "patrol_watch",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("person", String(64), nullable=False),
    Column("wand", String(64), nullable=True, index=True),
    Column("tour", String(90), nullable=True, index=True),
    Column("site", String(64), nullable=True),
    Column("area", String(64), nullable=True),
    Column("area_path", PATH, nullable=False),
    Column("begun_at_us", BigInteger, nullable=False),
    Column("begun_by", String(200), nullable=False),
    Column("interval_s", Integer, nullable=False),
    Column("sign_at_us", BigInteger, nullable=False),
    Column("sign", Text, nullable=False),
    Column("latitude_deg", Float, nullable=True),
    Column("longitude_deg", Float, nullable=True),
    # Of the latest position, which may be near that place.
    Column("placed_at_us", BigInteger, nullable=True),
    # walking, overdue, alarm or ended
    Column("state", String(16), nullable=False),
    Column("due_us", BigInteger, nullable=True, index=True),
    Column("alarm_raised_at_us", BigInteger, nullable=True),
    Column("ended_at_us", BigInteger, nullable=True),
    Column("ended_by", String(200), nullable=True),
    Index("ix_patrol_watch_area_path", "area_path", "begun_at_us"),
)
