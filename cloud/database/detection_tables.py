"""The tables of fire detection: fires, the evidence for them, their CAP messages, and towers that look more often."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    false,
)

from cloud.database.tables import PATH, SOURCE_CHARS, metadata

fire = Table(
    "fire",
    metadata,
    # That of the raise that it was found by; it never changes.
    Column("id", String(24), primary_key=True),
    Column("mode", String(16), nullable=False),
    # What its evidence comes to (`cloud.fire.detection.Assessment`).
    Column("began_at_us", BigInteger, nullable=False, index=True),
    Column("last_at_us", BigInteger, nullable=False),
    Column("cleared_at_us", BigInteger, nullable=True),
    Column("confidence", Float, nullable=False),
    Column("severity", String(16), nullable=False),
    Column("towers", JSON, nullable=False),
    Column("signs", JSON, nullable=False),
    Column("reasons", JSON, nullable=False),
    Column("latitude_deg", Float, nullable=False),
    Column("longitude_deg", Float, nullable=False),
    Column("radius_m", Float, nullable=False),
    Column("located_by", String(16), nullable=False),
    # Of the tower that it was found by.
    Column("site", String(64), nullable=True),
    Column("area", String(64), nullable=True),
    Column("area_path", PATH, nullable=False),
    # False for what is too little to speak of: limits of temperature alone.
    Column("told", Boolean, nullable=False, server_default=false()),
    # The raise of its own alarm that stands or stood last, whether it stands, and how urgent it was said to be.
    Column("alarm_raised_at_us", BigInteger, nullable=True),
    Column("alarm_stands", Boolean, nullable=False, server_default=false()),
    Column("alarm_severity", String(16), nullable=True),
    # confirmed or false, said by a person.
    Column("judgement", String(16), nullable=True),
    Column("judged_by", String(200), nullable=True),
    Column("judged_at_us", BigInteger, nullable=True),
    Column("judged_why", Text, nullable=True),
    # It takes no more evidence: called false, its alarm closed, or found to be a part of another.
    Column("ended_at_us", BigInteger, nullable=True),
    Column("merged_into", String(24), nullable=True, index=True),
    Column("changed_at_us", BigInteger, nullable=False),
    Index("ix_fire_area_path", "area_path", "began_at_us"),
)

fire_evidence = Table(
    "fire_evidence",
    metadata,
    # Of the raise (`contract.ids.alarm_id`).
    Column("id", String(24), primary_key=True),
    Column("fire", ForeignKey("fire.id"), nullable=False, index=True),
    # The row of the desk that the raise is counted to.
    Column("occurrence", String(24), nullable=False, index=True),
    Column("source", String(SOURCE_CHARS), nullable=False),
    Column("gateway", String(64), nullable=False),
    Column("device", String(64), nullable=False),
    Column("sign", String(16), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("mode", String(16), nullable=False),
    Column("latitude_deg", Float, nullable=False),
    Column("longitude_deg", Float, nullable=False),
    Column("raised_at_us", BigInteger, nullable=False, index=True),
    Column("cleared_at_us", BigInteger, nullable=True),
    Column("bearing_deg", Float, nullable=True),
    # Wind and neighbours' readings at that time; NULL where nobody measured it, or has looked yet.
    Column("wind", JSON(none_as_null=True), nullable=True),
    Column("readings", JSON, nullable=False),
    # When the readings are to be looked for, NULL once that is done or given up; how often it was tried.
    Column("look_at_us", BigInteger, nullable=True, index=True),
    Column("looks", Integer, nullable=False, server_default="0"),
)

fire_cap = Table(
    "fire_cap",
    metadata,
    Column("identifier", String(200), primary_key=True),
    Column("fire", ForeignKey("fire.id"), nullable=False, index=True),
    Column("number", Integer, nullable=False),
    Column("sent_at_us", BigInteger, nullable=False),
    Column("msg_type", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("scope", String(16), nullable=False),
    Column("sender", String(200), nullable=False),
    # As it is written in `references` of the next one.
    Column("sent", String(40), nullable=False),
    Column("by", String(200), nullable=False),
    # How the fire stood, in short: when it stands otherwise, another message is due.
    Column("state", String(24), nullable=False),
    Column("xml", Text, nullable=False),
    Index("uq_fire_cap_fire_number", "fire", "number", unique=True),
)

# Towers that were told to look more often because of the danger; told again each hour while it holds.
tower_pace = Table(
    "tower_pace",
    metadata,
    Column("gateway", String(64), primary_key=True),
    Column("level", String(32), nullable=False),
    Column("factor", Float, nullable=False),
    Column("told_at_us", BigInteger, nullable=False),
)
