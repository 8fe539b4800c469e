"""Patrols: what is planned, the tours that come of it, and what was walked."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_PATH = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    _make_sheets()
    _make_people()
    _make_tours()
    _make_verdicts()
    _make_heard()
    _make_watches()


def _make_sheets() -> None:
    op.create_table(
        "patrol_point",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("area", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("latitude_deg", sa.Float(), nullable=True),
        sa.Column("longitude_deg", sa.Float(), nullable=True),
        sa.Column("radius_m", sa.Integer(), nullable=True),
        sa.Column("outline", sa.JSON(), nullable=True),
        sa.Column("stay_s", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_patrol_point"),
    )
    op.create_index("ix_patrol_point_area", "patrol_point", ["area"])
    op.create_table(
        "patrol_card",
        sa.Column("card", sa.String(64), nullable=False),
        sa.Column("point", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("card", name="pk_patrol_card"),
    )
    op.create_table(
        "patrol_route",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("area", sa.String(64), nullable=False),
        sa.Column("site", sa.String(64), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("order", sa.String(16), nullable=False),
        sa.Column("early_min", sa.Integer(), nullable=False),
        sa.Column("late_min", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_patrol_route"),
    )
    op.create_index("ix_patrol_route_area", "patrol_route", ["area"])
    op.create_table(
        "patrol_route_point",
        sa.Column("route", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("point", sa.String(64), nullable=False),
        sa.Column("must", sa.Boolean(), nullable=False),
        sa.Column("minutes_to_next", sa.Integer(), nullable=False),
        sa.Column("early_min", sa.Integer(), nullable=True),
        sa.Column("late_min", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("route", "position", name="pk_patrol_route_point"),
    )
    op.create_index("ix_patrol_route_point_point", "patrol_route_point", ["point"])


def _make_people() -> None:
    op.create_table(
        "patrol_person",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("area", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_patrol_person"),
    )
    op.create_index("ix_patrol_person_area", "patrol_person", ["area"])
    op.create_table(
        "patrol_wand",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("area", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("machine", sa.String(64), nullable=True),
        sa.Column("gateway", sa.String(64), nullable=True),
        sa.Column("device", sa.String(64), nullable=True),
        sa.Column("gps", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_patrol_wand"),
    )
    op.create_index("ix_patrol_wand_area", "patrol_wand", ["area"])
    op.create_index("ix_patrol_wand_device", "patrol_wand", ["gateway", "device"])
    op.create_index("ix_patrol_wand_machine", "patrol_wand", ["machine"])
    op.create_table(
        "patrol_carrier",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("wand", sa.String(64), nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("weekdays", sa.String(32), nullable=False),
        sa.Column("begins", sa.String(5), nullable=False),
        sa.Column("ends", sa.String(5), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=True),
        sa.Column("last_day", sa.Date(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_patrol_carrier"),
    )
    op.create_index("ix_patrol_carrier_wand", "patrol_carrier", ["wand"])
    op.create_table(
        "patrol_plan",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("route", sa.String(64), nullable=False),
        sa.Column("weekdays", sa.String(32), nullable=False),
        sa.Column("starts", sa.Text(), nullable=False),
        sa.Column("duration_min", sa.Integer(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=True),
        sa.Column("last_day", sa.Date(), nullable=True),
        sa.Column("people", sa.Text(), nullable=False),
        sa.Column("wands", sa.Text(), nullable=False),
        sa.Column("tell_late", sa.Boolean(), nullable=False),
        sa.Column("lone_min", sa.Integer(), nullable=True),
        sa.Column("made_until_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_patrol_plan"),
    )
    op.create_index("ix_patrol_plan_made_until_us", "patrol_plan", ["made_until_us"])
    op.create_index("ix_patrol_plan_route", "patrol_plan", ["route"])


def _make_tours() -> None:
    op.create_table(
        "patrol_tour",
        sa.Column("id", sa.String(90), nullable=False),
        sa.Column("plan", sa.String(64), nullable=False),
        sa.Column("route", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("site", sa.String(64), nullable=True),
        sa.Column("area", sa.String(64), nullable=True),
        sa.Column("area_path", _PATH, nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("begins_us", sa.BigInteger(), nullable=False),
        sa.Column("ends_us", sa.BigInteger(), nullable=False),
        sa.Column("catch_from_us", sa.BigInteger(), nullable=False),
        sa.Column("catch_until_us", sa.BigInteger(), nullable=False),
        sa.Column("tour", sa.JSON(), nullable=False),
        sa.Column("tell_late", sa.Boolean(), nullable=False),
        sa.Column("lone_min", sa.Integer(), nullable=True),
        sa.Column("due_us", sa.BigInteger(), nullable=True),
        sa.Column("waits", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("judged", sa.JSON(), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("alarms", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_patrol_tour"),
    )
    op.create_index("ix_patrol_tour_area_path", "patrol_tour", ["area_path", "day"])
    op.create_index("ix_patrol_tour_day", "patrol_tour", ["day"])
    op.create_index("ix_patrol_tour_due_us", "patrol_tour", ["due_us"])
    op.create_index("ix_patrol_tour_plan", "patrol_tour", ["plan"])
    op.create_table(
        "patrol_stop",
        sa.Column("tour", sa.String(90), nullable=False),
        sa.Column("position", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("point", sa.String(64), nullable=False),
        sa.Column("catch_from_us", sa.BigInteger(), nullable=False),
        sa.Column("catch_until_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tour", "position", name="pk_patrol_stop"),
    )
    op.create_index("ix_patrol_stop_point", "patrol_stop", ["point", "catch_from_us"])
    op.create_table(
        "patrol_tour_wand",
        sa.Column("tour", sa.String(90), nullable=False),
        sa.Column("wand", sa.String(64), nullable=False),
        sa.Column("catch_from_us", sa.BigInteger(), nullable=False),
        sa.Column("catch_until_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tour", "wand", name="pk_patrol_tour_wand"),
    )
    op.create_index("ix_patrol_tour_wand_wand", "patrol_tour_wand", ["wand", "catch_from_us"])


def _make_verdicts() -> None:
    op.create_table(
        "patrol_wake",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("tour", sa.String(90), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_patrol_wake"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "patrol_verdict",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("tour", sa.String(90), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("before", sa.String(16), nullable=True),
        sa.Column("after", sa.String(16), nullable=False),
        sa.Column("visit", sa.String(64), nullable=True),
        sa.Column("visited_at_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_patrol_verdict"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_patrol_verdict_tour", "patrol_verdict", ["tour"])


def _make_heard() -> None:
    op.create_table(
        "patrol_visit",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("origin", sa.String(140), nullable=False),
        sa.Column("wand", sa.String(64), nullable=True),
        sa.Column("person", sa.String(64), nullable=True),
        sa.Column("card", sa.String(64), nullable=False),
        sa.Column("point", sa.String(64), nullable=True),
        sa.Column("visited_at_us", sa.BigInteger(), nullable=False),
        sa.Column("received_at_us", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("area_path", _PATH, nullable=False),
        sa.Column("tour", sa.String(90), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_patrol_visit"),
    )
    op.create_index("ix_patrol_visit_point", "patrol_visit", ["point"])
    op.create_index("ix_patrol_visit_tour", "patrol_visit", ["tour"])
    op.create_index("ix_patrol_visit_visited_at_us", "patrol_visit", ["visited_at_us"])
    op.create_table(
        "patrol_hit",
        sa.Column("origin", sa.String(140), nullable=False),
        sa.Column("hit_at_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("wand", sa.String(64), nullable=True),
        sa.Column("received_at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("origin", "hit_at_us", name="pk_patrol_hit"),
    )
    op.create_index("ix_patrol_hit_wand", "patrol_hit", ["wand"])
    op.create_table(
        "patrol_sync",
        sa.Column("wand", sa.String(64), nullable=False),
        sa.Column("recent", sa.JSON(), nullable=False),
        sa.Column("synced_at_us", sa.BigInteger(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=True),
        sa.Column("hits", sa.Integer(), nullable=True),
        sa.Column("clock_error_s", sa.Float(), nullable=True),
        sa.Column("silent_raised_at_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("wand", name="pk_patrol_sync"),
    )
    op.create_table(
        "patrol_fix",
        sa.Column("wand", sa.String(64), nullable=False),
        sa.Column("at_us", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("point", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("wand", "at_us", "point", name="pk_patrol_fix"),
    )


def _make_watches() -> None:
    op.create_table(
        "patrol_watch",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("person", sa.String(64), nullable=False),
        sa.Column("wand", sa.String(64), nullable=True),
        sa.Column("tour", sa.String(90), nullable=True),
        sa.Column("site", sa.String(64), nullable=True),
        sa.Column("area", sa.String(64), nullable=True),
        sa.Column("area_path", _PATH, nullable=False),
        sa.Column("begun_at_us", sa.BigInteger(), nullable=False),
        sa.Column("begun_by", sa.String(200), nullable=False),
        sa.Column("interval_s", sa.Integer(), nullable=False),
        sa.Column("sign_at_us", sa.BigInteger(), nullable=False),
        sa.Column("sign", sa.Text(), nullable=False),
        sa.Column("latitude_deg", sa.Float(), nullable=True),
        sa.Column("longitude_deg", sa.Float(), nullable=True),
        sa.Column("placed_at_us", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=True),
        sa.Column("alarm_raised_at_us", sa.BigInteger(), nullable=True),
        sa.Column("ended_at_us", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(200), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_patrol_watch"),
    )
    op.create_index("ix_patrol_watch_area_path", "patrol_watch", ["area_path", "begun_at_us"])
    op.create_index("ix_patrol_watch_due_us", "patrol_watch", ["due_us"])
    op.create_index("ix_patrol_watch_tour", "patrol_watch", ["tour"])
    op.create_index("ix_patrol_watch_wand", "patrol_watch", ["wand"])


def downgrade() -> None:
    """Take them away, with every plan and every tour."""
    for table in (
        "patrol_watch",
        "patrol_fix",
        "patrol_sync",
        "patrol_hit",
        "patrol_visit",
        "patrol_verdict",
        "patrol_wake",
        "patrol_tour_wand",
        "patrol_stop",
        "patrol_tour",
        "patrol_plan",
        "patrol_carrier",
        "patrol_wand",
        "patrol_person",
        "patrol_route_point",
        "patrol_route",
        "patrol_card",
        "patrol_point",
    ):
        op.drop_table(table)
