"""Orders to gateways, and the stolen list: what is on it, its versions, and what each gateway has of it."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _make_gateway_order()
    _make_stolen_tag()
    _make_stolen_version()
    _make_stolen_change()
    _make_stolen_at_gateway()


def downgrade() -> None:
    """Take them away; gateways keep the lists that they have."""
    op.drop_index("ix_stolen_at_gateway_due_at_us", "stolen_at_gateway")
    op.drop_table("stolen_at_gateway")
    op.drop_table("stolen_change")
    op.drop_table("stolen_version")
    op.drop_table("stolen_tag")
    op.drop_index("ix_gateway_order_settled_at_us", "gateway_order")
    op.drop_index("ix_gateway_order_gateway", "gateway_order")
    op.drop_index("ix_gateway_order_state", "gateway_order")
    op.drop_table("gateway_order")


def _make_gateway_order() -> None:
    op.create_table(
        "gateway_order",
        sa.Column("number", _ID, autoincrement=True, nullable=False),
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("gateway", sa.String(64), nullable=False),
        sa.Column("lane", sa.String(210), nullable=False),
        sa.Column("replaces", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("command", sa.LargeBinary(), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("given_at_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_us", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("is_outdated", sa.Boolean(), nullable=False),
        sa.Column("command_id", sa.String(64), nullable=True),
        sa.Column("command_until_us", sa.BigInteger(), nullable=True),
        sa.Column("commands", sa.Integer(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due_at_us", sa.BigInteger(), nullable=False),
        sa.Column("birth_us", sa.BigInteger(), nullable=True),
        sa.Column("sent_at_us", sa.BigInteger(), nullable=True),
        sa.Column("settled_at_us", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("value", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_gateway_order"),
        sa.UniqueConstraint("id", name="uq_gateway_order_id"),
        sa.UniqueConstraint("command_id", name="uq_gateway_order_command_id"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_gateway_order_state", "gateway_order", ["state", "due_at_us"])
    op.create_index("ix_gateway_order_gateway", "gateway_order", ["gateway", "state"])
    op.create_index("ix_gateway_order_settled_at_us", "gateway_order", ["settled_at_us"])


def _make_stolen_tag() -> None:
    op.create_table(
        "stolen_tag",
        sa.Column("tag", sa.String(60), nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("case", sa.String(64), nullable=False),
        sa.Column("since_us", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("tag", name="pk_stolen_tag"),
    )


def _make_stolen_version() -> None:
    op.create_table(
        "stolen_version",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("checksum", sa.String(32), nullable=False),
        sa.Column("entries", sa.Integer(), nullable=False),
        sa.Column("made_at_us", sa.BigInteger(), nullable=False),
        sa.Column("by", sa.String(200), nullable=False),
        sa.PrimaryKeyConstraint("version", name="pk_stolen_version"),
    )


def _make_stolen_change() -> None:
    op.create_table(
        "stolen_change",
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("tag", sa.String(60), nullable=False),
        sa.Column("before", sa.Text(), nullable=True),
        sa.Column("after", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("version", "tag", name="pk_stolen_change"),
    )


def _make_stolen_at_gateway() -> None:
    op.create_table(
        "stolen_at_gateway",
        sa.Column("gateway", sa.String(64), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=True),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("confirmed_at_us", sa.BigInteger(), nullable=True),
        sa.Column("birth_us", sa.BigInteger(), nullable=True),
        sa.Column("is_checked", sa.Boolean(), nullable=False),
        sa.Column("is_deaf", sa.Boolean(), nullable=False),
        sa.Column("is_whole", sa.Boolean(), nullable=False),
        sa.Column("push", sa.String(32), nullable=False),
        sa.Column("push_version", sa.BigInteger(), nullable=True),
        sa.Column("push_base", sa.BigInteger(), nullable=True),
        sa.Column("push_number", sa.BigInteger(), nullable=True),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column("parts", sa.Integer(), nullable=False),
        sa.Column("is_under_way", sa.Boolean(), nullable=False),
        sa.Column("until_us", sa.BigInteger(), nullable=True),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("due_at_us", sa.BigInteger(), nullable=False),
        sa.Column("error", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("gateway", name="pk_stolen_at_gateway"),
    )
    op.create_index("ix_stolen_at_gateway_due_at_us", "stolen_at_gateway", ["due_at_us"])
