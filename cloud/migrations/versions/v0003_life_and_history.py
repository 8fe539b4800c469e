"""What ISA-18.2 keeps apart of an alarm, its places and clocks; controls; the history of every change."""

import sqlalchemy as sa
from alembic import op

from cloud.migrations.append_only import drop_append_only, make_append_only

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

# Compared byte by byte, so that "begins with" is a range of an index.
PATH = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


_COLUMNS = (
    "latching",
    "latched",
    "shelved_until_us",
    "suppressed_by",
    "out_of_service",
    "shown_at_us",
    "first_acknowledged_at_us",
    "dispatched_at_us",
    "dispatched_by",
    "arrived_at_us",
    "arrived_by",
    "site",
    "area",
    "area_path",
    "target_s",
    "recent_us",
    "chattering",
)


def upgrade() -> None:
    """Make room; what is there keeps what is known of it."""
    _make_tables()
    make_append_only("change")
    _add_columns()
    op.execute("UPDATE occurrence SET first_acknowledged_at_us = acknowledged_at_us")


def downgrade() -> None:
    """Take the room away, and the history with it."""
    for index in ("ix_occurrence_area_path", "ix_occurrence_latest", "ix_occurrence_open", "ix_occurrence_site"):
        op.drop_index(index, "occurrence")
    for column in _COLUMNS:
        op.drop_column("occurrence", column)
    drop_append_only("change")
    for table in ("cursor", "change", "control"):
        op.drop_table(table)


def _make_tables() -> None:
    op.create_table(
        "control",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("target", sa.String(259), nullable=False),
        sa.Column("lasting_key", sa.String(291), nullable=True),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("origin", sa.String(200), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=True),
        sa.Column("ended_us", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(200), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_control"),
        sa.UniqueConstraint("lasting_key", name="uq_control_lasting_key"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_control_until_us", "control", ["until_us"])
    op.create_table(
        "change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("what", sa.String(32), nullable=False),
        sa.Column("alarm_id", sa.String(24), nullable=True),
        sa.Column("source", sa.String(259), nullable=False),
        sa.Column("area_path", PATH, nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("origin", sa.String(200), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("fields", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_change"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_change_alarm_id", "change", ["alarm_id", "id"])
    op.create_table(
        "cursor",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("change_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_cursor"),
    )


def _add_columns() -> None:
    op.add_column("occurrence", sa.Column("latching", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("occurrence", sa.Column("latched", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("occurrence", sa.Column("shelved_until_us", sa.BigInteger(), nullable=True))
    op.add_column("occurrence", sa.Column("suppressed_by", sa.String(259), nullable=True))
    op.add_column("occurrence", sa.Column("out_of_service", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.add_column("occurrence", sa.Column("shown_at_us", sa.BigInteger(), nullable=True))
    op.add_column("occurrence", sa.Column("first_acknowledged_at_us", sa.BigInteger(), nullable=True))
    op.add_column("occurrence", sa.Column("dispatched_at_us", sa.BigInteger(), nullable=True))
    op.add_column("occurrence", sa.Column("dispatched_by", sa.String(200), nullable=True))
    op.add_column("occurrence", sa.Column("arrived_at_us", sa.BigInteger(), nullable=True))
    op.add_column("occurrence", sa.Column("arrived_by", sa.String(200), nullable=True))
    op.add_column("occurrence", sa.Column("site", sa.String(64), nullable=True))
    op.add_column("occurrence", sa.Column("area", sa.String(64), nullable=True))
    op.add_column("occurrence", sa.Column("area_path", PATH, server_default="", nullable=False))
    op.add_column("occurrence", sa.Column("target_s", sa.Integer(), nullable=True))
    op.add_column("occurrence", sa.Column("recent_us", sa.JSON(), server_default="[]", nullable=False))
    op.add_column("occurrence", sa.Column("chattering", sa.Boolean(), server_default=sa.false(), nullable=False))
    op.create_index("ix_occurrence_area_path", "occurrence", ["area_path", "raised_at_us"])
    op.create_index("ix_occurrence_latest", "occurrence", ["last_raised_at_us", "alarm_id"])
    op.create_index(
        "ix_occurrence_open",
        "occurrence",
        ["last_raised_at_us", "alarm_id"],
        sqlite_where=sa.text("closed_at_us IS NULL"),
        postgresql_where=sa.text("closed_at_us IS NULL"),
    )
    op.create_index("ix_occurrence_site", "occurrence", ["site"])
