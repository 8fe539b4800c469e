"""The tables of orders to gateways, and of the stolen list."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, LargeBinary, String, Table, Text

from cloud.database.tables import metadata

_ID = BigInteger().with_variant(Integer(), "sqlite")

# What gateways are to do, each until its answer or its end; settled ones are the history.
gateway_order = Table(
    "gateway_order",
    metadata,
    # The order in which they were given.
    Column("number", _ID, primary_key=True, autoincrement=True),
    Column("id", String(64), nullable=False, unique=True),
    Column("gateway", String(64), nullable=False),
    # Of the open orders of one gateway and lane, only the first is under way; "": alone.
    Column("lane", String(210), nullable=False),
    # The wish that a later order with the same word takes the place of; "": none.
    Column("replaces", String(200), nullable=False),
    # write, mode, reset, arm, disarm, ...: the contract's word.
    Column("kind", String(32), nullable=False),
    # A command as the contract writes it; its id and expiry are not those that are sent.
    Column("command", LargeBinary, nullable=False),
    Column("by", String(200), nullable=False),
    Column("why", Text, nullable=False),
    Column("given_at_us", BigInteger, nullable=False),
    Column("expires_at_us", BigInteger, nullable=False),
    # waiting, sent; done, refused, failed, expired, replaced.
    Column("state", String(16), nullable=False),
    # A later wish stands in line: when the command under way ends without an answer, it is not sent anew.
    Column("is_outdated", Boolean, nullable=False),
    # The command under way: its id, and until when a gateway may begin it.
    Column("command_id", String(64), nullable=True, unique=True),
    Column("command_until_us", BigInteger, nullable=True),
    # Commands made for it, how often the one under way was sent, and when something is to be done next.
    Column("commands", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due_at_us", BigInteger, nullable=False),
    # `gateway.since_us` at the last send: once it is another, the gateway is asked at once.
    Column("birth_us", BigInteger, nullable=True),
    Column("sent_at_us", BigInteger, nullable=True),
    Column("settled_at_us", BigInteger, nullable=True),
    Column("reason", Text, nullable=False),
    Column("value", JSON(none_as_null=True), nullable=True),
    Index("ix_gateway_order_state", "state", "due_at_us"),
    Index("ix_gateway_order_gateway", "gateway", "state"),
    Index("ix_gateway_order_settled_at_us", "settled_at_us"),
    sqlite_autoincrement=True,
)

# The list in force: what is to be found.
stolen_tag = Table(
    "stolen_tag",
    metadata,
    # In capitals.
    Column("tag", String(60), primary_key=True),
    Column("note", Text, nullable=False),
    # The number of the police's case.
    Column("case", String(64), nullable=False),
    Column("since_us", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
)

# The lists there were; the newest is in force.
stolen_version = Table(
    "stolen_version",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    # `contract.tags.checksum_of` what gateways get.
    Column("checksum", String(32), nullable=False),
    Column("entries", Integer, nullable=False),
    Column("made_at_us", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
)

# What each version changed of what gateways get, NULL for "not on the list": enough to make an older list again.
stolen_change = Table(
    "stolen_change",
    metadata,
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("tag", String(60), primary_key=True),
    Column("before", Text, nullable=True),
    Column("after", Text, nullable=True),
)

# What each gateway has of it that is to have it, and the push under way: `cloud.orders.reconcile.Standing`.
stolen_at_gateway = Table(
    "stolen_at_gateway",
    metadata,
    Column("gateway", String(64), primary_key=True),
    # The version that it has confirmed, NULL for none; and under what number it has it.
    Column("version", BigInteger, nullable=True),
    Column("number", BigInteger, nullable=False),
    Column("confirmed_at_us", BigInteger, nullable=True),
    # `gateway.since_us` when it was asked last: once it is another, it is asked whether it still has its list.
    Column("birth_us", BigInteger, nullable=True),
    Column("is_checked", Boolean, nullable=False),
    # It has nobody who hears tags; not asked again until it is born anew.
    Column("is_deaf", Boolean, nullable=False),
    # A difference was refused, or came to nothing: the next push is of the whole list.
    Column("is_whole", Boolean, nullable=False),
    # The push under way: the beginning of its commands' ids ("" for none), what is pushed on what base (NULL for the
    # whole list), under what number, and which of its parts is next or under way.
    Column("push", String(32), nullable=False),
    Column("push_version", BigInteger, nullable=True),
    Column("push_base", BigInteger, nullable=True),
    Column("push_number", BigInteger, nullable=True),
    Column("part", Integer, nullable=False),
    Column("parts", Integer, nullable=False),
    # The part is sent and not answered; until when the gateway may begin it, and how often it was sent.
    Column("is_under_way", Boolean, nullable=False),
    Column("until_us", BigInteger, nullable=True),
    Column("tries", Integer, nullable=False),
    # In a row; and when something is to be done next.
    Column("failures", Integer, nullable=False),
    Column("due_at_us", BigInteger, nullable=False, index=True),
    # What the gateway said last, or that it said nothing.
    Column("error", Text, nullable=False),
)
