"""The tables of vehicles."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "vehicle",
        sa.Column("id", sa.String(48), nullable=False),
        sa.Column("plate", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("fleet", sa.Text(), nullable=False),
        sa.Column("area", sa.String(64), nullable=False),
        sa.Column("gateway", sa.String(64), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("guarded", sa.Boolean(), nullable=False, server_default=sa.false()),
        *_hours(),
        sa.PrimaryKeyConstraint("id", name="pk_vehicle"),
    )
    op.create_index("ix_vehicle_area", "vehicle", ["area"])
    op.create_index("ix_vehicle_gateway_device", "vehicle", ["gateway", "device"], unique=True)
    op.create_table(
        "vehicle_position",
        sa.Column("vehicle", sa.String(48), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=True),
        sa.Column("received_at_us", sa.BigInteger(), nullable=True),
        sa.Column("latitude_deg", sa.Float(), nullable=True),
        sa.Column("longitude_deg", sa.Float(), nullable=True),
        sa.Column("speed_kmh", sa.Float(), nullable=True),
        sa.Column("course_deg", sa.Float(), nullable=True),
        sa.Column("ignition", sa.Boolean(), nullable=True),
        sa.Column("doubtful", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("state", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("vehicle", name="pk_vehicle_position"),
        sa.ForeignKeyConstraint(["vehicle"], ["vehicle.id"], name="fk_vehicle_position_vehicle", ondelete="CASCADE"),
    )
    op.create_index("ix_vehicle_position_at_us", "vehicle_position", ["at_us"])
    op.create_table(
        "vehicle_fence",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("area", sa.String(64), nullable=False),
        sa.Column("rule", sa.String(8), nullable=False),
        sa.Column("vehicle", sa.String(48), nullable=True),
        sa.Column("fleet", sa.Text(), nullable=True),
        sa.Column("latitude_deg", sa.Float(), nullable=True),
        sa.Column("longitude_deg", sa.Float(), nullable=True),
        sa.Column("radius_m", sa.Float(), nullable=True),
        sa.Column("outline", sa.JSON(), nullable=True),
        sa.Column("margin_m", sa.Float(), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        *_hours(),
        sa.Column("edited_at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_vehicle_fence"),
        sa.ForeignKeyConstraint(["vehicle"], ["vehicle.id"], name="fk_vehicle_fence_vehicle", ondelete="CASCADE"),
    )
    op.create_index("ix_vehicle_fence_area", "vehicle_fence", ["area"])
    op.create_index("ix_vehicle_fence_vehicle", "vehicle_fence", ["vehicle"])


def _hours() -> tuple[sa.Column[str], ...]:
    return (
        sa.Column("weekdays", sa.String(32), nullable=False),
        sa.Column("begins", sa.String(5), nullable=True),
        sa.Column("ends", sa.String(5), nullable=True),
    )


def downgrade() -> None:
    """Take them away; tracks stay in InfluxDB."""
    op.drop_index("ix_vehicle_fence_vehicle", "vehicle_fence")
    op.drop_index("ix_vehicle_fence_area", "vehicle_fence")
    op.drop_table("vehicle_fence")
    op.drop_index("ix_vehicle_position_at_us", "vehicle_position")
    op.drop_table("vehicle_position")
    op.drop_index("ix_vehicle_gateway_device", "vehicle")
    op.drop_index("ix_vehicle_area", "vehicle")
    op.drop_table("vehicle")
