"""The tables of people: users, sessions, tokens, and the audit of what they did beside alarms."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, String, Table, Text

from cloud.database.tables import metadata

user = Table(
    "desk_user",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("display", Text, nullable=False),
    # An argon2id hash with its parameters.
    Column("password", Text, nullable=False),
    # viewer, operator, dispatcher, manager or admin.
    Column("role", String(16), nullable=False),
    # The top of the subtree that the user sees; NULL: everything.
    Column("area", ForeignKey("area.id"), nullable=True),
    Column("contact", ForeignKey("contact.id"), nullable=True),
    Column("language", String(8), nullable=False),
    Column("disabled", Boolean, nullable=False),
    Column("must_change", Boolean, nullable=False),
    Column("created_us", BigInteger, nullable=False),
)

session = Table(
    "desk_session",
    metadata,
    # SHA-256 of what the cookie holds.
    Column("digest", LargeBinary(32), primary_key=True),
    Column("user", ForeignKey("desk_user.name", ondelete="CASCADE"), nullable=False, index=True),
    Column("csrf", String(64), nullable=False),
    Column("origin", String(200), nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("seen_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
)

token = Table(
    "api_token",
    metadata,
    Column("id", String(16), primary_key=True),
    # SHA-256 of the secret part; the token itself is shown once.
    Column("digest", LargeBinary(32), nullable=False),
    Column("user", ForeignKey("desk_user.name", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger, nullable=False),
    Column("used_us", BigInteger, nullable=True),
)

login_attempt = Table(
    "login_attempt",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("at_us", BigInteger, nullable=False),
    # SHA-256 of the name as hexadecimal digits: what people type there by mistake is often a password.
    Column("name", String(64), nullable=False),
    # An address, or the network that it stands for.
    Column("origin", String(200), nullable=False),
    Column("succeeded", Boolean, nullable=False),
    Index("ix_login_attempt_at_us", "at_us"),
    Index("ix_login_attempt_name", "name", "at_us"),
    Index("ix_login_attempt_origin", "origin", "at_us"),
    sqlite_autoincrement=True,
)

# Logins, changes of users, tokens, areas and policies. Append-only, as `change` is.
audit = Table(
    "audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer(), "sqlite"), primary_key=True, autoincrement=True),
    Column("at_us", BigInteger, nullable=False),
    Column("by", String(200), nullable=False),
    Column("origin", String(200), nullable=False),
    Column("what", String(64), nullable=False),
    Column("object", Text, nullable=False),
    Column("details", JSON, nullable=False),
    Index("ix_audit_at_us", "at_us"),
    sqlite_autoincrement=True,
)

# Keys that the desk made for itself, such as the one that signs acknowledge links.
secret = Table(
    "secret",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", LargeBinary, nullable=False),
)
