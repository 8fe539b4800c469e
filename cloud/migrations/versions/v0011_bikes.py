"""The tables of bike watch: the registry, where tags are and were, what is armed, cases."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _make_registry()
    _make_watch()
    _make_tags()
    _make_cases()


def _make_registry() -> None:
    op.create_table(
        "bike",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("area", sa.String(length=64), nullable=False),
        sa.Column("tag", sa.String(length=60), nullable=True),
        sa.Column("owner_tag", sa.String(length=60), nullable=True),
        sa.Column("plate", sa.Text(), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("by_owner", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("arm_from", sa.String(length=5), nullable=True),
        sa.Column("arm_to", sa.String(length=5), nullable=True),
        sa.Column("arm_days", sa.String(length=32), nullable=True),
        sa.Column("hours_due_us", sa.BigInteger(), nullable=True),
        sa.Column("owner_due_us", sa.BigInteger(), nullable=True),
        sa.Column("silent_after_s", sa.Integer(), nullable=True),
        sa.Column("stolen_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_bike"),
        sa.UniqueConstraint("tag", name="uq_bike_tag"),
    )
    op.create_index("ix_bike_area", "bike", ["area", "id"])
    op.create_index("ix_bike_hours_due_us", "bike", ["hours_due_us", "id"], **_where("hours_due_us IS NOT NULL"))
    op.create_index("ix_bike_owner_due_us", "bike", ["owner_due_us", "id"], **_where("owner_due_us IS NOT NULL"))
    op.create_index("ix_bike_owner_tag", "bike", ["owner_tag"], **_where("owner_tag IS NOT NULL"))
    op.create_index("ix_bike_stolen_us", "bike", ["id"], **_where("stolen_us IS NOT NULL"))
    op.create_table(
        "bike_station",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("gateway", sa.String(length=64), nullable=False),
        sa.Column("device", sa.String(length=64), nullable=False),
        sa.Column("heard_us", sa.BigInteger(), nullable=False),
        sa.Column("day", sa.Date(), nullable=True),
        sa.Column("moves", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_bike_station"),
    )
    op.create_index("ix_bike_station_gateway", "bike_station", ["gateway", "device"], unique=True)
    op.create_table(
        "bike_stay",
        sa.Column("tag", sa.String(length=60), nullable=False),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=True),
        sa.Column("station", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tag", "from_us", name="pk_bike_stay"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "bike_told",
        sa.Column("tag", sa.String(length=60), nullable=False),
        sa.Column("gateway", sa.String(length=64), nullable=False),
        sa.Column("is_armed", sa.Boolean(), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tag", "gateway", name="pk_bike_told"),
    )
    op.create_index("ix_bike_told_at_us", "bike_told", ["at_us"])


def _make_watch() -> None:
    op.create_table(
        "bike_arming",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("bike", sa.String(length=64), nullable=False),
        sa.Column("how", sa.String(length=16), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=True),
        sa.Column("by", sa.String(length=200), nullable=False),
        sa.Column("ended_by", sa.String(length=200), nullable=True),
        sa.Column("station", sa.Integer(), nullable=True),
        sa.Column("moved_us", sa.BigInteger(), nullable=True),
        sa.Column("moved_to", sa.Integer(), nullable=True),
        sa.Column("due_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["bike"], ["bike.id"], name="fk_bike_arming_bike", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["moved_to"], ["bike_station.id"], name="fk_bike_arming_moved_to"),
        sa.ForeignKeyConstraint(["station"], ["bike_station.id"], name="fk_bike_arming_station"),
        sa.PrimaryKeyConstraint("id", name="pk_bike_arming"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_bike_arming_bike", "bike_arming", ["bike"])
    op.create_index("ix_bike_arming_until_us", "bike_arming", ["until_us"])
    op.create_index("ix_bike_arming_due_us", "bike_arming", ["due_us"], **_where("due_us IS NOT NULL"))
    op.create_index("ix_bike_arming_lasting", "bike_arming", ["bike"], unique=True, **_where("until_us IS NULL"))


def _make_tags() -> None:
    op.create_table(
        "bike_owner",
        sa.Column("bike", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("phone", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["bike"], ["bike.id"], name="fk_bike_owner_bike", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("bike", name="pk_bike_owner"),
    )
    op.create_table(
        "bike_tag",
        sa.Column("tag", sa.String(length=60), nullable=False),
        sa.Column("station", sa.Integer(), nullable=True),
        sa.Column("since_us", sa.BigInteger(), nullable=True),
        sa.Column("heard_us", sa.BigInteger(), nullable=False),
        sa.Column("battery_v", sa.Float(), nullable=True),
        sa.Column("low_us", sa.BigInteger(), nullable=True),
        sa.Column("silent_us", sa.BigInteger(), nullable=True),
        sa.Column("cloned_us", sa.BigInteger(), nullable=True),
        sa.Column("cloned_last_us", sa.BigInteger(), nullable=True),
        sa.Column("life", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["station"], ["bike_station.id"], name="fk_bike_tag_station"),
        sa.PrimaryKeyConstraint("tag", name="pk_bike_tag"),
    )
    op.create_index(
        "ix_bike_tag_cloned_last_us", "bike_tag", ["cloned_last_us"], **_where("cloned_last_us IS NOT NULL")
    )
    op.create_index("ix_bike_tag_heard_us", "bike_tag", ["heard_us"])
    op.create_index("ix_bike_tag_low_us", "bike_tag", ["tag"], **_where("low_us IS NOT NULL"))
    op.create_index("ix_bike_tag_silent_us", "bike_tag", ["tag"], **_where("silent_us IS NOT NULL"))
    op.create_index("ix_bike_tag_station", "bike_tag", ["station"])


def _make_cases() -> None:
    op.create_table(
        "bike_case",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("bike", sa.String(length=64), nullable=False),
        sa.Column("tag", sa.String(length=60), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("opened_us", sa.BigInteger(), nullable=False),
        sa.Column("opened_by", sa.String(length=200), nullable=False),
        sa.Column("arming", sa.BigInteger(), nullable=True),
        sa.Column("source", sa.String(length=259), nullable=True),
        sa.Column("raised_us", sa.BigInteger(), nullable=True),
        sa.Column("alarm_id", sa.String(length=24), nullable=True),
        sa.Column("hits", sa.Integer(), server_default="0", nullable=False),
        sa.Column("told_us", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("comments", sa.Integer(), server_default="0", nullable=False),
        sa.Column("closed_us", sa.BigInteger(), nullable=True),
        sa.Column("closed_by", sa.String(length=200), nullable=True),
        sa.Column("outcome", sa.String(length=32), nullable=True),
        sa.ForeignKeyConstraint(["bike"], ["bike.id"], name="fk_bike_case_bike", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name="pk_bike_case"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_bike_case_alarm_id", "bike_case", ["alarm_id"])
    op.create_index("ix_bike_case_arming", "bike_case", ["arming"])
    op.create_index("ix_bike_case_closed_us", "bike_case", ["closed_us"])
    op.create_index("ix_bike_case_bike", "bike_case", ["bike"])
    op.create_index("ix_bike_case_open", "bike_case", ["bike"], unique=True, **_where("closed_us IS NULL"))
    op.create_index("ix_bike_case_source", "bike_case", ["source"])
    op.create_table(
        "bike_case_step",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("case", _ID, nullable=False),
        sa.Column("what", sa.String(length=16), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("station", sa.Integer(), nullable=True),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("is_told", sa.Boolean(), server_default=sa.true(), nullable=False),
        sa.ForeignKeyConstraint(["case"], ["bike_case.id"], name="fk_bike_case_step_case", ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["station"], ["bike_station.id"], name="fk_bike_case_step_station"),
        sa.PrimaryKeyConstraint("id", name="pk_bike_case_step"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_bike_case_step_case", "bike_case_step", ["case"])
    op.create_index("ix_bike_case_step_untold", "bike_case_step", ["case"], **_where("NOT is_told"))


def downgrade() -> None:
    """Drop them, and what is in them."""
    op.drop_index("ix_bike_case_step_untold", table_name="bike_case_step")
    op.drop_index("ix_bike_case_step_case", table_name="bike_case_step")
    op.drop_table("bike_case_step")
    op.drop_index("ix_bike_tag_station", table_name="bike_tag")
    op.drop_index("ix_bike_tag_silent_us", table_name="bike_tag")
    op.drop_index("ix_bike_tag_low_us", table_name="bike_tag")
    op.drop_index("ix_bike_tag_heard_us", table_name="bike_tag")
    op.drop_index("ix_bike_tag_cloned_last_us", table_name="bike_tag")
    op.drop_table("bike_tag")
    op.drop_table("bike_owner")
    op.drop_index("ix_bike_case_source", table_name="bike_case")
    op.drop_index("ix_bike_case_open", table_name="bike_case")
    op.drop_index("ix_bike_case_bike", table_name="bike_case")
    op.drop_index("ix_bike_case_closed_us", table_name="bike_case")
    op.drop_index("ix_bike_case_arming", table_name="bike_case")
    op.drop_index("ix_bike_case_alarm_id", table_name="bike_case")
    op.drop_table("bike_case")
    op.drop_index("ix_bike_arming_lasting", table_name="bike_arming")
    op.drop_index("ix_bike_arming_until_us", table_name="bike_arming")
    op.drop_index("ix_bike_arming_due_us", table_name="bike_arming")
    op.drop_index("ix_bike_arming_bike", table_name="bike_arming")
    op.drop_table("bike_arming")
    op.drop_index("ix_bike_told_at_us", table_name="bike_told")
    op.drop_table("bike_told")
    op.drop_table("bike_stay")
    op.drop_index("ix_bike_station_gateway", table_name="bike_station")
    op.drop_table("bike_station")
    op.drop_index("ix_bike_stolen_us", table_name="bike")
    op.drop_index("ix_bike_owner_tag", table_name="bike")
    op.drop_index("ix_bike_owner_due_us", table_name="bike")
    op.drop_index("ix_bike_hours_due_us", table_name="bike")
    op.drop_index("ix_bike_area", table_name="bike")
    op.drop_table("bike")


def _where(words: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(words), "postgresql_where": sa.text(words)}
