"""What Grafana is told: one annotation an alarm."""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "grafana_annotation",
        sa.Column("alarm_id", sa.String(24), nullable=False),
        sa.Column("mark", sa.Text(), nullable=False),
        sa.Column("wanted", sa.String(16), nullable=False),
        sa.Column("told", sa.String(16), nullable=True),
        sa.Column("annotation_id", sa.BigInteger(), nullable=True),
        sa.Column("asked_at_us", sa.BigInteger(), nullable=True),
        sa.Column("asked", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at_us", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("is_closed", sa.Boolean(), nullable=False),
        sa.Column("changed_at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("alarm_id", name="pk_grafana_annotation"),
    )
    op.create_index("ix_grafana_annotation_due_at_us", "grafana_annotation", ["due_at_us"])
    op.create_index("ix_grafana_annotation_changed_at_us", "grafana_annotation", ["changed_at_us"])


def downgrade() -> None:
    """Take it away; what Grafana has stays there."""
    op.drop_index("ix_grafana_annotation_changed_at_us", "grafana_annotation")
    op.drop_index("ix_grafana_annotation_due_at_us", "grafana_annotation")
    op.drop_table("grafana_annotation")
    op.execute("DELETE FROM cursor WHERE name = 'grafana'")
