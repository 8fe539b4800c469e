"""The two ways out: messages to people through a channel, events to a program through a web hook."""

from collections.abc import Callable, Sequence
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, func, select

from cloud.database.people_tables import user
from cloud.errors import BadAddressError, HookGoneError, TellingError
from cloud.people.links import make_link
from cloud.people.roles import Action
from cloud.people.store import link_key
from cloud.settings import Settings
from cloud.telling.channels import ChannelSender
from cloud.telling.claims import Claimed, Lease, Note, Parcel, Verdict, claim_events, claim_messages
from cloud.telling.history import channel_of
from cloud.telling.names import find_names
from cloud.telling.queue import Facts, Kind
from cloud.telling.settings import Channel, WebHook
from cloud.telling.templates import Message, Style, Told, render, render_many
from cloud.telling.webhooks import HookSender

# A message is read within hours; after that one signs in.
_LINK_LASTS_US = 12 * 3_600_000_000
# Enough to tell messages to one person apart, and short enough to be compared by eye.
_REFERENCE_CHARS = 12
_LINKED = (Kind.ALARM, Kind.ESCALATED, Kind.REMINDER, Kind.UNACKNOWLEDGED)


class Job(Struct, frozen=True):
    """One message or event that is ours to send, with all that it needs.

    Attributes:
        tolds: in the parcel's order; empty for an event.
    """

    parcel: Parcel
    tolds: tuple[Told, ...] = ()


class Jobs(Struct, frozen=True):
    """What a claim gave, and when to ask again although nothing new is due."""

    jobs: list[Job]
    again_at_us: int | None


class Route(Protocol):
    """A way out.

    Attributes:
        channel: as in `delivery.channel`.
        concurrency: sends at once.
    """

    channel: str
    concurrency: int

    def claim(self, connection: Connection, *, free: int, lease: Lease) -> Jobs:
        """Claim at most `free` jobs."""
        ...

    async def send(self, job: Job) -> int:
        """Send a job; tells how many of its rows went with it, from the first on.

        Raises:
            TellingError: none of them did.
        """
        ...


class MessageRoute:
    """Messages to people through one channel.

    Args:
        channel: its settings.
        sender: does the sending.
        settings: of the whole desk.
    """

    def __init__(self, channel: Channel, sender: ChannelSender, settings: Settings) -> None:
        self.channel = channel.name
        self.concurrency = channel.concurrency
        self._settings = channel
        self._sender = sender
        self._zone = ZoneInfo(settings.desk.timezone)
        self._map_url = settings.telling.map_url
        self._public_url = settings.api.public_url.rstrip("/")

    def claim(self, connection: Connection, *, free: int, lease: Lease) -> Jobs:
        """See `Route.claim`."""
        per_minute = self._settings.per_minute
        found = claim_messages(connection, self.channel, free=free, per_minute=per_minute, zone=self._zone, lease=lease)
        rows = [row for parcel in found.parcels for row in parcel.rows]
        facts = [_facts(row) for row in rows]
        links = self._links(connection, rows, lease.now_us)
        names = find_names(connection, facts) if rows else []
        tolds = {
            row.id: Told(_kind(row), row.severity, one, name, links.get(row.id, ""), row.id[:_REFERENCE_CHARS])
            for row, one, name in zip(rows, facts, names, strict=True)
        }
        jobs = [Job(parcel, tuple(tolds[row.id] for row in parcel.rows)) for parcel in found.parcels]
        return Jobs(jobs, found.again_at_us)

    async def send(self, job: Job) -> int:
        """See `Route.send`."""
        message, count = self._render(job)
        first = job.parcel.rows[0]
        await self._sender.send(first.address, msgspec.structs.replace(message, id=first.id))
        return count

    def _render(self, job: Job) -> tuple[Message, int]:
        channel = self._settings
        language = job.parcel.rows[0].language
        style = Style(language, channel.markup, channel.short, channel.max_chars, self._zone, self._map_url)
        return (render(job.tolds[0], style), 1) if len(job.tolds) == 1 else render_many(job.tolds, style)

    def _links(self, connection: Connection, rows: Sequence[Claimed], now_us: int) -> dict[str, str]:
        """Make a link for each message to a contact that is also a user, where something can be acknowledged.

        A contact that several users share has none: the history would name one of them, whoever pressed.
        """
        wanted = [row for row in rows if row.contact and row.alarm_id and _kind(row) in _LINKED]
        if not wanted or not self._public_url:
            return {}
        who = user.c.contact.in_({row.contact for row in wanted}) & user.c.disabled.is_(False)
        own = select(user.c.contact, func.min(user.c.name).label("name")).where(who).group_by(user.c.contact)
        users = {found.contact: found.name for found in connection.execute(own.having(func.count() == 1))}
        key = link_key(connection)
        return {
            row.id: f"{self._public_url}/a/"
            + make_link(
                key, row.alarm_id, users[row.contact], action=Action.ACKNOWLEDGE, now_us=now_us, lasts_us=_LINK_LASTS_US
            )
            for row in wanted
            if row.alarm_id and row.contact in users
        }


class HookRoute:
    """Events to one web hook.

    Args:
        hook: its settings.
        sender: does the sending.
        clock: the wall time, for the signature's time stamp.
    """

    def __init__(self, hook: WebHook, sender: HookSender, clock: Callable[[], int]) -> None:
        self.channel = channel_of(hook.name)
        self.concurrency = hook.concurrency
        self._hook = hook
        self._sender = sender
        self._clock = clock

    def claim(self, connection: Connection, *, free: int, lease: Lease) -> Jobs:
        """See `Route.claim`."""
        found = claim_events(connection, self.channel, hook=self._hook.name, free=free, lease=lease)
        return Jobs([Job(parcel) for parcel in found.parcels], found.again_at_us)

    async def send(self, job: Job) -> int:
        """See `Route.send`."""
        await self._sender.send(job.parcel.rows[0].body, now_us=self._clock())
        return 1


def notes_of(job: Job, *, count: int, error: TellingError | None) -> list[Note]:
    """Say what became of each row of a job.

    Args:
        job: as claimed.
        count: rows that went, from the first on; the rest did not fit.
        error: why none of them went.
    """
    notes = []
    for index, row in enumerate(job.parcel.rows):
        after_s = error.retry_after_s if error else None
        verdict = _verdict(error) if error else Verdict.SENT if index < count else Verdict.LEFT
        why = str(error) if error else ""
        notes.append(Note(row.id, verdict, row.severity, row.attempts, row.created_us, why, after_s))
    return notes


def _verdict(error: TellingError) -> Verdict:
    if isinstance(error, HookGoneError):
        return Verdict.GONE
    return Verdict.FAILED if isinstance(error, BadAddressError) else Verdict.AGAIN


def _facts(row: Claimed) -> Facts:
    # What another version has written is told as far as it can be read.
    try:
        return msgspec.convert(row.body, Facts)
    except msgspec.ValidationError:
        return Facts(alarm_id=row.alarm_id or "")


def _kind(row: Claimed) -> Kind:
    return Kind(row.kind) if row.kind in set(Kind) else Kind.ALARM
