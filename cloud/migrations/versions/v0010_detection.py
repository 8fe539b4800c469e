"""Fires found by towers together, the evidence for them, their CAP messages, and towers that look more often."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_PATH = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    _make_fire()
    _make_evidence()
    op.create_table(
        "fire_cap",
        sa.Column("identifier", sa.String(200), nullable=False),
        sa.Column("fire", sa.String(24), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("sent_at_us", sa.BigInteger(), nullable=False),
        sa.Column("msg_type", sa.String(16), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("sender", sa.String(200), nullable=False),
        sa.Column("sent", sa.String(40), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("xml", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("identifier", name="pk_fire_cap"),
        sa.ForeignKeyConstraint(["fire"], ["fire.id"], name="fk_fire_cap_fire_fire"),
    )
    op.create_index("ix_fire_cap_fire", "fire_cap", ["fire"])
    op.create_index("uq_fire_cap_fire_number", "fire_cap", ["fire", "number"], unique=True)
    op.create_table(
        "tower_pace",
        sa.Column("gateway", sa.String(64), nullable=False),
        sa.Column("level", sa.String(32), nullable=False),
        sa.Column("factor", sa.Float(), nullable=False),
        sa.Column("told_at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("gateway", name="pk_tower_pace"),
    )


def downgrade() -> None:
    """Drop them, and what is in them."""
    op.drop_table("tower_pace")
    op.drop_table("fire_cap")
    op.drop_table("fire_evidence")
    op.drop_table("fire")


def _make_fire() -> None:
    op.create_table(
        "fire",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("began_at_us", sa.BigInteger(), nullable=False),
        sa.Column("last_at_us", sa.BigInteger(), nullable=False),
        sa.Column("cleared_at_us", sa.BigInteger(), nullable=True),
        sa.Column("confidence", sa.Float(), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("towers", sa.JSON(), nullable=False),
        sa.Column("signs", sa.JSON(), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("latitude_deg", sa.Float(), nullable=False),
        sa.Column("longitude_deg", sa.Float(), nullable=False),
        sa.Column("radius_m", sa.Float(), nullable=False),
        sa.Column("located_by", sa.String(16), nullable=False),
        sa.Column("site", sa.String(64), nullable=True),
        sa.Column("area", sa.String(64), nullable=True),
        sa.Column("area_path", _PATH, nullable=False),
        sa.Column("told", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("alarm_raised_at_us", sa.BigInteger(), nullable=True),
        sa.Column("alarm_stands", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("alarm_severity", sa.String(16), nullable=True),
        sa.Column("judgement", sa.String(16), nullable=True),
        sa.Column("judged_by", sa.String(200), nullable=True),
        sa.Column("judged_at_us", sa.BigInteger(), nullable=True),
        sa.Column("judged_why", sa.Text(), nullable=True),
        sa.Column("ended_at_us", sa.BigInteger(), nullable=True),
        sa.Column("merged_into", sa.String(24), nullable=True),
        sa.Column("changed_at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_fire"),
    )
    op.create_index("ix_fire_began_at_us", "fire", ["began_at_us"])
    op.create_index("ix_fire_merged_into", "fire", ["merged_into"])
    op.create_index("ix_fire_area_path", "fire", ["area_path", "began_at_us"])


def _make_evidence() -> None:
    op.create_table(
        "fire_evidence",
        sa.Column("id", sa.String(24), nullable=False),
        sa.Column("fire", sa.String(24), nullable=False),
        sa.Column("occurrence", sa.String(24), nullable=False),
        sa.Column("source", sa.String(259), nullable=False),
        sa.Column("gateway", sa.String(64), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("sign", sa.String(16), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("mode", sa.String(16), nullable=False),
        sa.Column("latitude_deg", sa.Float(), nullable=False),
        sa.Column("longitude_deg", sa.Float(), nullable=False),
        sa.Column("raised_at_us", sa.BigInteger(), nullable=False),
        sa.Column("cleared_at_us", sa.BigInteger(), nullable=True),
        sa.Column("bearing_deg", sa.Float(), nullable=True),
        sa.Column("wind", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("readings", sa.JSON(), nullable=False),
        sa.Column("look_at_us", sa.BigInteger(), nullable=True),
        sa.Column("looks", sa.Integer(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_fire_evidence"),
        sa.ForeignKeyConstraint(["fire"], ["fire.id"], name="fk_fire_evidence_fire_fire"),
    )
    op.create_index("ix_fire_evidence_fire", "fire_evidence", ["fire"])
    op.create_index("ix_fire_evidence_occurrence", "fire_evidence", ["occurrence"])
    op.create_index("ix_fire_evidence_raised_at_us", "fire_evidence", ["raised_at_us"])
    op.create_index("ix_fire_evidence_look_at_us", "fire_evidence", ["look_at_us"])
