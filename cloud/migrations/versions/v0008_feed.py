"""What waits between ingest and the trades, and between the trades and InfluxDB."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "observation",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("trade", sa.String(16), nullable=False),
        sa.Column("gateway", sa.String(64), nullable=False),
        sa.Column("received_at_us", sa.BigInteger(), nullable=False),
        sa.Column("samples", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_observation"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_observation_trade", "observation", ["trade", "id"])
    op.create_table(
        "measure",
        sa.Column("id", _ID, autoincrement=True, nullable=False),
        sa.Column("line", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_measure"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "lease",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("holder", sa.String(64), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_lease"),
    )


def downgrade() -> None:
    """Take them away; what waits in them is lost to the trades, not to InfluxDB."""
    op.drop_table("lease")
    op.drop_table("measure")
    op.drop_index("ix_observation_trade", "observation")
    op.drop_table("observation")
