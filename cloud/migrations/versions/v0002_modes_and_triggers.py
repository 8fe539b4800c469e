"""Alarms of tests and drills, and events that trigger a standing alarm again, whose ids are longer."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make room; what is there was live."""
    op.add_column("occurrence", sa.Column("mode", sa.String(16), nullable=False, server_default="live"))
    with op.batch_alter_table("alarm_event") as batch:
        batch.alter_column("event_id", existing_type=sa.String(40), type_=sa.String(64), existing_nullable=False)


def downgrade() -> None:
    """Take the room away; alarms of tests and drills become live ones."""
    op.execute("DELETE FROM alarm_event WHERE transition = 'retriggered'")
    with op.batch_alter_table("alarm_event") as batch:
        batch.alter_column("event_id", existing_type=sa.String(64), type_=sa.String(40), existing_nullable=False)
    op.drop_column("occurrence", "mode")
