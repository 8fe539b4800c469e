"""What happens next with an open alarm, and who is told."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "escalation",
        sa.Column("alarm_id", sa.String(24), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("round", sa.Integer(), nullable=False),
        sa.Column("round_began_us", sa.BigInteger(), nullable=False),
        sa.Column("progress", sa.JSON(), nullable=False),
        sa.Column("next_at_us", sa.BigInteger(), nullable=True),
        sa.Column("idle_why", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["alarm_id"],
            ["occurrence.alarm_id"],
            name="fk_escalation_alarm_id",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("alarm_id", name="pk_escalation"),
    )
    op.create_index("ix_escalation_next_at_us", "escalation", ["next_at_us"])
    op.create_table(
        "delivery",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("alarm_id", sa.String(24), nullable=True),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("contact", sa.String(64), nullable=True),
        sa.Column("channel", sa.String(64), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("change_id", sa.BigInteger(), nullable=True),
        sa.Column("created_us", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("due_us", sa.BigInteger(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claimed_by", sa.String(64), nullable=True),
        sa.Column("claimed_us", sa.BigInteger(), nullable=True),
        sa.Column("held_why", sa.Text(), nullable=True),
        sa.Column("sent_us", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_delivery"),
    )
    op.create_index("ix_delivery_alarm_id", "delivery", ["alarm_id"])
    op.create_index("ix_delivery_contact", "delivery", ["contact", "claimed_us"])
    op.create_index("ix_delivery_state", "delivery", ["state", "channel", "due_us"])
    op.create_index("ix_delivery_claimed", "delivery", ["channel", "claimed_us"])
    op.create_index("ix_delivery_created", "delivery", ["created_us", "id"])
    op.create_index("ix_delivery_kind", "delivery", ["kind", "created_us"])
    op.create_table(
        "web_hook",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("disabled_us", sa.BigInteger(), nullable=True),
        sa.Column("disabled_why", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("name", name="pk_web_hook"),
    )


def downgrade() -> None:
    """Drop them, and what is in them."""
    op.drop_table("web_hook")
    op.drop_table("delivery")
    op.drop_table("escalation")
