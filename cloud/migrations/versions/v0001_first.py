"""The first tables: occurrences, alarm events, dead letters, gateways."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create all tables."""
    _occurrence()
    _alarm_event()
    op.create_table(
        "dead_letter",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("received_at_us", sa.BigInteger(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("gateway", sa.String(64), nullable=True),
        sa.Column("reason", sa.String(32), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("payload", sa.LargeBinary(), nullable=False),
        sa.Column("payload_size", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dead_letter"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "gateway",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("boot", sa.String(64), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("site", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("inventory", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_gateway"),
    )


def downgrade() -> None:
    """Drop all tables, and with them every alarm."""
    for table in ("gateway", "dead_letter", "alarm_event", "occurrence"):
        op.drop_table(table)


def _occurrence() -> None:
    op.create_table(
        "occurrence",
        sa.Column("alarm_id", sa.String(24), nullable=False),
        sa.Column("source", sa.String(259), nullable=False),
        sa.Column("open_key", sa.String(259), nullable=True),
        sa.Column("gateway", sa.String(64), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("point", sa.String(64), nullable=False),
        sa.Column("rule", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("text", sa.JSON(), nullable=False),
        sa.Column("raised_at_us", sa.BigInteger(), nullable=False),
        sa.Column("received_at_us", sa.BigInteger(), nullable=False),
        sa.Column("stored_at_us", sa.BigInteger(), nullable=False),
        sa.Column("late", sa.Boolean(), nullable=False),
        sa.Column("triggers", sa.Integer(), nullable=False),
        sa.Column("last_raised_at_us", sa.BigInteger(), nullable=False),
        sa.Column("cleared_at_us", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_at_us", sa.BigInteger(), nullable=True),
        sa.Column("acknowledged_by", sa.String(200), nullable=True),
        sa.Column("closed_at_us", sa.BigInteger(), nullable=True),
        sa.Column("closed_by", sa.String(200), nullable=True),
        sa.Column("closing_code", sa.String(32), nullable=True),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("alarm_id", name="pk_occurrence"),
        sa.UniqueConstraint("open_key", name="uq_occurrence_open_key"),
    )
    for column in ("source", "gateway", "raised_at_us"):
        op.create_index(f"ix_occurrence_{column}", "occurrence", [column])


def _alarm_event() -> None:
    op.create_table(
        "alarm_event",
        sa.Column("event_id", sa.String(40), nullable=False),
        sa.Column("alarm_id", sa.String(24), nullable=False),
        sa.Column("occurrence", sa.String(24), nullable=True),
        sa.Column("transition", sa.String(16), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("received_at_us", sa.BigInteger(), nullable=False),
        sa.Column("stored_at_us", sa.BigInteger(), nullable=False),
        sa.Column("value", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("event_id", name="pk_alarm_event"),
        sa.ForeignKeyConstraint(
            ["occurrence"], ["occurrence.alarm_id"], name="fk_alarm_event_occurrence", onupdate="CASCADE"
        ),
    )
    for column in ("alarm_id", "occurrence"):
        op.create_index(f"ix_alarm_event_{column}", "alarm_event", [column])
