"""Fire danger: stations, where they stood, their days, what was corrected, and how they stand."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "fire_station",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("area", sa.String(64), nullable=True),
        sa.Column("gateway", sa.String(64), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("temperature", sa.String(64), nullable=False),
        sa.Column("humidity", sa.String(64), nullable=False),
        sa.Column("wind", sa.String(64), nullable=False),
        sa.Column("wind_unit", sa.String(8), nullable=False),
        sa.Column("wind_force", sa.String(64), nullable=True),
        sa.Column("rain", sa.String(64), nullable=False),
        sa.Column("rain_kind", sa.String(8), nullable=False),
        sa.Column("rain_wrap_mm", sa.Float(), nullable=True),
        sa.Column("latitude_deg", sa.Float(), nullable=False),
        sa.Column("longitude_deg", sa.Float(), nullable=False),
        sa.Column("utc_offset_h", sa.Float(), nullable=True),
        sa.Column("start_ffmc", sa.Float(), nullable=False),
        sa.Column("start_dmc", sa.Float(), nullable=False),
        sa.Column("start_dc", sa.Float(), nullable=False),
        sa.Column("moved_on", sa.Date(), nullable=True),
        sa.Column("active", sa.String(3), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_fire_station"),
    )
    op.create_index("ix_fire_station_gateway", "fire_station", ["gateway"])
    _make_turns()
    _make_days()
    _make_results()


def _make_turns() -> None:
    op.create_table(
        "fire_turn",
        sa.Column("station", sa.String(64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("latitude_deg", sa.Float(), nullable=False),
        sa.Column("longitude_deg", sa.Float(), nullable=False),
        sa.Column("ffmc", sa.Float(), nullable=True),
        sa.Column("dmc", sa.Float(), nullable=True),
        sa.Column("dc", sa.Float(), nullable=True),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["station"], ["fire_station.id"], name="fk_fire_turn_station", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("station", "day", name="pk_fire_turn"),
    )


def _make_days() -> None:
    op.create_table(
        "fire_day",
        sa.Column("station", sa.String(64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("noon_at_us", sa.BigInteger(), nullable=True),
        sa.Column("temp_c", sa.Float(), nullable=True),
        sa.Column("rh_pct", sa.Float(), nullable=True),
        sa.Column("wind_kmh", sa.Float(), nullable=True),
        sa.Column("rain_mm", sa.Float(), nullable=True),
        sa.Column("temp_verdict", sa.String(16), nullable=False),
        sa.Column("rh_verdict", sa.String(16), nullable=False),
        sa.Column("wind_verdict", sa.String(16), nullable=False),
        sa.Column("rain_verdict", sa.String(16), nullable=False),
        sa.Column("max_temp_c", sa.Float(), nullable=True),
        sa.Column("afternoon_rh_pct", sa.Float(), nullable=True),
        sa.Column("afternoon_wind_kmh", sa.Float(), nullable=True),
        sa.Column("rule", sa.String(16), nullable=False),
        sa.Column("used_temp_c", sa.Float(), nullable=True),
        sa.Column("used_rh_pct", sa.Float(), nullable=True),
        sa.Column("used_wind_kmh", sa.Float(), nullable=True),
        sa.Column("used_rain_mm", sa.Float(), nullable=True),
        sa.Column("ffmc", sa.Float(), nullable=True),
        sa.Column("dmc", sa.Float(), nullable=True),
        sa.Column("dc", sa.Float(), nullable=True),
        sa.Column("isi", sa.Float(), nullable=True),
        sa.Column("bui", sa.Float(), nullable=True),
        sa.Column("fwi", sa.Float(), nullable=True),
        sa.Column("dsr", sa.Float(), nullable=True),
        sa.Column("dry_days", sa.Integer(), nullable=False),
        sa.Column("effis", sa.Integer(), nullable=True),
        sa.Column("canada", sa.Integer(), nullable=True),
        sa.Column("china_index", sa.Integer(), nullable=True),
        sa.Column("china", sa.Integer(), nullable=True),
        sa.Column("picked_at_us", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["station"], ["fire_station.id"], name="fk_fire_day_station", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("station", "day", name="pk_fire_day"),
    )
    op.create_index("ix_fire_day_day", "fire_day", ["day"])


def _make_results() -> None:
    op.create_table(
        "fire_correction",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("station", sa.String(64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("changed", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(
            ["station"], ["fire_station.id"], name="fk_fire_correction_station", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_fire_correction"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_fire_correction_station", "fire_correction", ["station", "day"])
    op.create_table(
        "fire_level",
        sa.Column("station", sa.String(64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("level", sa.Integer(), nullable=False),
        sa.Column("raised_at_us", sa.BigInteger(), nullable=True),
        sa.Column("hourly_ffmc", sa.Float(), nullable=True),
        sa.Column("hourly_at_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["station"], ["fire_station.id"], name="fk_fire_level_station", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("station", name="pk_fire_level"),
    )


def downgrade() -> None:
    """Drop them, and what is in them."""
    op.drop_table("fire_level")
    op.drop_index("ix_fire_correction_station", table_name="fire_correction")
    op.drop_table("fire_correction")
    op.drop_index("ix_fire_day_day", table_name="fire_day")
    op.drop_table("fire_day")
    op.drop_table("fire_turn")
    op.drop_index("ix_fire_station_gateway", table_name="fire_station")
    op.drop_table("fire_station")
