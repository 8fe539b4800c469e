"""The tables of escalation and telling: what happens next with an open alarm, and who is told."""

from sqlalchemy import JSON, BigInteger, Column, ForeignKey, Index, Integer, String, Table, Text

from cloud.database.tables import metadata

# One row a live occurrence that is open: its plan as it was when it was raised, and how far it has come.
escalation = Table(
    "escalation",
    metadata,
    Column("alarm_id", ForeignKey("occurrence.alarm_id", onupdate="CASCADE", ondelete="CASCADE"), primary_key=True),
    # `cloud.escalation.plan.Plan` as JSON.
    Column("plan", JSON, nullable=False),
    # Goes up whenever it begins anew: a further trigger, an acknowledgement taken back.
    Column("round", Integer, nullable=False),
    Column("round_began_us", BigInteger, nullable=False),
    # `cloud.escalation.plan.Progress` as JSON.
    Column("progress", JSON, nullable=False),
    # The next step's time, or NULL and the reason why there is none.
    Column("next_at_us", BigInteger, nullable=True, index=True),
    Column("idle_why", Text, nullable=True),
)

# One message to one person or one web hook. The id is made of what it is, so that no step is told twice.
delivery = Table(
    "delivery",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("alarm_id", String(24), nullable=True, index=True),
    # alarm, reminder, unacknowledged, cleared, closed, ...: names the template.
    Column("kind", String(32), nullable=False),
    Column("severity", String(16), nullable=False),
    Column("contact", String(64), nullable=True),
    Column("channel", String(64), nullable=False),
    Column("address", Text, nullable=False),
    Column("language", String(8), nullable=False),
    # What the template needs, `cloud.telling.queue.Facts` as JSON; of a web hook the CloudEvent.
    Column("body", JSON, nullable=False),
    # Of a web hook: the change that it tells, which also gives the order within an alarm.
    Column("change_id", BigInteger, nullable=True),
    Column("created_us", BigInteger, nullable=False),
    # pending, sending, sent, failed.
    Column("state", String(16), nullable=False),
    # When it may go, or go again; while it is being sent, when its sender counts as dead.
    Column("due_us", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("claimed_by", String(64), nullable=True),
    # When its latest attempt began: what a channel's limit counts.
    Column("claimed_us", BigInteger, nullable=True),
    # Why it was put off though nothing went wrong: quiet hours, the contact's limit. It then goes with others like it.
    Column("held_why", Text, nullable=True),
    Column("sent_us", BigInteger, nullable=True),
    Column("error", Text, nullable=True),
    Index("ix_delivery_state", "state", "channel", "due_us"),
    Index("ix_delivery_claimed", "channel", "claimed_us"),
    Index("ix_delivery_contact", "contact", "claimed_us"),
    # Of the log, and of what is old enough to go.
    Index("ix_delivery_created", "created_us", "id"),
    Index("ix_delivery_kind", "kind", "created_us"),
)

# One row a web hook that has ever run: where its reading of the history began is in `cursor`.
web_hook = Table(
    "web_hook",
    metadata,
    Column("name", String(64), primary_key=True),
    # Of the settings, without its query: another URL enables it again.
    Column("url", Text, nullable=False),
    # It answered 410 Gone: nothing is sent until somebody changes its URL or enables it.
    Column("disabled_us", BigInteger, nullable=True),
    Column("disabled_why", Text, nullable=True),
)
