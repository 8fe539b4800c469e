"""Alarms counted by area and day; busy sources; when gateways came and went."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_PATH = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_UNTOLD = sa.text("untold IS NOT NULL")
_BORN = sa.text("online")


def upgrade() -> None:
    """Make the tables, and the indexes that counting needs."""
    op.create_table(
        "tally",
        sa.Column("area_path", _PATH, nullable=False),
        sa.Column("span", sa.String(8), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("own", sa.Text(), nullable=True),
        sa.Column("total", sa.Text(), nullable=True),
        sa.Column("untold", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("area_path", "span", "first_day", name="pk_tally"),
    )
    op.create_index("ix_tally_first_day", "tally", ["first_day", "span"])
    op.create_index(
        "ix_tally_untold", "tally", ["first_day", "area_path"], sqlite_where=_UNTOLD, postgresql_where=_UNTOLD
    )
    op.create_table(
        "busy_source",
        sa.Column("month", sa.Date(), nullable=False),
        sa.Column("source", sa.String(259), nullable=False),
        sa.Column("area_path", _PATH, nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("triggers", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("month", "source", name="pk_busy_source"),
    )
    op.create_index("ix_busy_source_area_path", "busy_source", ["month", "area_path", "source", "triggers"])
    op.create_table(
        "presence_change",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("gateway", sa.String(64), nullable=False),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("before_us", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_presence_change"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_presence_change_gateway", "presence_change", ["gateway", "at_us", "online", "before_us"])
    op.create_index(
        "ix_presence_change_at_us",
        "presence_change",
        ["at_us", "online", "before_us", "gateway"],
        sqlite_where=_BORN,
        postgresql_where=_BORN,
    )
    op.create_index("ix_alarm_event_at_us", "alarm_event", ["at_us"])


def downgrade() -> None:
    """Drop them, and what is in them."""
    op.drop_index("ix_alarm_event_at_us", table_name="alarm_event")
    op.drop_table("presence_change")
    op.drop_table("busy_source")
    op.drop_table("tally")
