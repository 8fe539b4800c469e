"""The tree of areas, its people, rosters and policies, and what stands where."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Compared byte by byte, so that "begins with" is a range of an index.
PATH = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    _make_tree()
    _make_people()
    _make_places()


def _make_tree() -> None:
    op.create_table(
        "area",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("parent", sa.String(64), nullable=True),
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("path", PATH, nullable=False),
        sa.Column("latitude_deg", sa.Float(), nullable=True),
        sa.Column("longitude_deg", sa.Float(), nullable=True),
        sa.Column("outline", sa.JSON(none_as_null=True), nullable=True),
        sa.ForeignKeyConstraint(["parent"], ["area.id"], name="fk_area_parent"),
        sa.PrimaryKeyConstraint("id", name="pk_area"),
        sa.UniqueConstraint("path", name="uq_area_path"),
    )
    op.create_index("ix_area_parent", "area", ["parent"])


def _make_people() -> None:
    op.create_table(
        "contact",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("area", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("language", sa.String(8), nullable=False),
        sa.Column("addresses", sa.JSON(), nullable=False),
        sa.Column("quiet_from", sa.String(5), nullable=True),
        sa.Column("quiet_to", sa.String(5), nullable=True),
        sa.Column("max_per_hour", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["area"], ["area.id"], name="fk_contact_area"),
        sa.PrimaryKeyConstraint("id", name="pk_contact"),
    )
    op.create_index("ix_contact_area", "contact", ["area"])
    op.create_table(
        "duty",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("area", sa.String(64), nullable=False),
        sa.Column("contact", sa.String(64), nullable=False),
        sa.Column("weekdays", sa.String(32), nullable=False),
        sa.Column("begins", sa.String(5), nullable=False),
        sa.Column("ends", sa.String(5), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=True),
        sa.Column("last_day", sa.Date(), nullable=True),
        sa.Column("rank", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["area"], ["area.id"], name="fk_duty_area"),
        sa.ForeignKeyConstraint(["contact"], ["contact.id"], name="fk_duty_contact"),
        sa.PrimaryKeyConstraint("id", name="pk_duty"),
    )
    op.create_index("ix_duty_area", "duty", ["area"])
    op.create_table(
        "handover",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("area", sa.String(64), nullable=False),
        sa.Column("contact", sa.String(64), nullable=False),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["area"], ["area.id"], name="fk_handover_area"),
        sa.ForeignKeyConstraint(["contact"], ["contact.id"], name="fk_handover_contact"),
        sa.PrimaryKeyConstraint("id", name="pk_handover"),
    )
    op.create_index("ix_handover_area_until", "handover", ["area", "until_us"])
    op.create_table(
        "policy",
        sa.Column("area", sa.String(64), nullable=False),
        sa.Column("severity", sa.String(16), nullable=False),
        sa.Column("policy", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["area"], ["area.id"], name="fk_policy_area"),
        sa.PrimaryKeyConstraint("area", "severity", name="pk_policy"),
    )


def _make_places() -> None:
    op.create_table(
        "site",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("area", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(64), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("latitude_deg", sa.Float(), nullable=True),
        sa.Column("longitude_deg", sa.Float(), nullable=True),
        sa.Column("transmission_class", sa.String(8), nullable=True),
        sa.ForeignKeyConstraint(["area"], ["area.id"], name="fk_site_area"),
        sa.PrimaryKeyConstraint("id", name="pk_site"),
    )
    op.create_index("ix_site_area", "site", ["area"])
    op.create_table(
        "registered_gateway",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("site", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("latitude_deg", sa.Float(), nullable=True),
        sa.Column("longitude_deg", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["site"], ["site.id"], name="fk_registered_gateway_site"),
        sa.PrimaryKeyConstraint("id", name="pk_registered_gateway"),
    )
    op.create_index("ix_registered_gateway_site", "registered_gateway", ["site"])
    op.create_table(
        "registered_device",
        sa.Column("gateway", sa.String(64), nullable=False),
        sa.Column("device", sa.String(64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("place", sa.Text(), nullable=False),
        sa.Column("latitude_deg", sa.Float(), nullable=True),
        sa.Column("longitude_deg", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(["gateway"], ["registered_gateway.id"], name="fk_registered_device_gateway"),
        sa.PrimaryKeyConstraint("gateway", "device", name="pk_registered_device"),
    )


def downgrade() -> None:
    """Drop them, and what is in them."""
    op.drop_table("registered_device")
    op.drop_table("registered_gateway")
    op.drop_table("site")
    op.drop_table("policy")
    op.drop_table("handover")
    op.drop_table("duty")
    op.drop_table("contact")
    op.drop_table("area")
