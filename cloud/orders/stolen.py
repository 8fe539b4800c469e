"""The stolen list: what is on it, its versions, and which gateway has confirmed which."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from sqlalchemy import Connection, delete, func, insert, select

from cloud.areas.chunks import chunked
from cloud.database.order_tables import stolen_at_gateway, stolen_change, stolen_tag, stolen_version
from cloud.database.tables import gateway
from cloud.desk.changes import Actor
from cloud.errors import BadStolenError, StolenFullError
from cloud.feed.lease import hold
from cloud.people.audit import note as note_audit
from contract.ids import is_id
from contract.limits import MAX_NOTE_CHARS, MAX_STOLEN, MAX_TAG_CHARS
from contract.tags import checksum_of, tidy

MAX_CASE_CHARS = 64
MAX_KEPT_NOTE_CHARS = 500
MAX_VERSIONS = 1_000
"""So many lists can be made again; who has an older one gets the whole."""
_PRUNED_AT_ONCE = 100
ADDED, REMOVED = "stolen-added", "stolen-removed"
"""The words of the audit."""


class StolenEntry(Struct, frozen=True):
    """One entry.

    Attributes:
        tag: as readers say it; kept in capitals.
        note: what the alarm shall say; cut at 500 characters, of which the first 60, the case before them, reach the
            gateways.
        case: the number of the police's case, "" for none; at most 64 characters.
        since_us: since when it is stolen, microseconds UTC; 0: since it was put on the list.
    """

    tag: str
    note: str = ""
    case: str = ""
    since_us: int = 0


class Listed(Struct, frozen=True):
    """An entry of the list in force, and who put it there."""

    tag: str
    note: str
    case: str
    since_us: int
    by: str


class Version(Struct, frozen=True):
    """One list.

    Attributes:
        version: rises; at least the seconds since 1970 of its making, as those that are pushed by hand.
        checksum: `contract.tags.checksum_of` what gateways get.
        entries: how many.
    """

    version: int
    checksum: str
    entries: int
    made_at_us: int
    by: str


class GatewayStanding(Struct, frozen=True):
    """How a gateway stands to the list in force.

    Attributes:
        state: "confirmed"; "pushing": a part is under way or next; "behind": it will be, see `error`; "offline";
            "deaf": it hears no tags.
        version: that it has confirmed.
        part, parts: of the push under way; 0 when there is none.
        error: what it said last.
    """

    gateway: str
    state: str
    version: int | None
    confirmed_at_us: int | None
    part: int
    parts: int
    error: str


class Confirmed(Struct, frozen=True):
    """How far the list in force has come.

    Attributes:
        version: of the list in force; 0 when there never was one, and then nothing is missing.
        checksum: of what gateways get; entries: how many.
        gateways: those that have confirmed it.
        missing: those that are to have it and have not; the offline ones too, not those that hear no tags.
    """

    version: int
    checksum: str
    entries: int
    gateways: frozenset[str]
    missing: frozenset[str]


def add_stolen(
    connection: Connection,
    entries: Sequence[StolenEntry],
    by: str,
    now_us: int,
    *,
    origin: str = "worker",
    only: bool = False,
) -> int:
    """Put entries on the list, or change them, as one new version in the caller's transaction; audited.

    Args:
        connection: a transaction for writing; the list stays locked until its end.
        entries: of one tag the last counts.
        by: a user's name, or a trade's.
        now_us: the clock.
        origin: where from: a network address, "console", "worker".
        only: what is not among the entries is taken off in the same version.

    Returns:
        The version in force: the new one, or the old one when nothing changes.

    Raises:
        BadStolenError: a tag is no tag, or a case is too long.
        StolenFullError: more than `MAX_STOLEN` entries.
    """
    wanted = {one.tag: one for one in (_checked(entry, by, now_us) for entry in entries)}
    _lock(connection, now_us)
    before = _rows(connection)
    gone = before.keys() - wanted.keys() if only else set()
    wanted = {tag: _merged(one, before.get(tag)) for tag, one in wanted.items() if _differs(one, before.get(tag))}
    if not (wanted or gone):
        return _newest(connection)
    after = {tag: one for tag, one in (before | wanted).items() if tag not in gone}
    if len(after) > MAX_STOLEN:
        raise StolenFullError(len(after), MAX_STOLEN)
    _forget(connection, wanted.keys() | gone)
    rows = [
        {"tag": one.tag, "note": one.note, "case": one.case, "since_us": one.since_us, "by": one.by}
        for one in wanted.values()
    ]
    for some in chunked(rows):
        connection.execute(insert(stolen_tag), list(some))
    return _make_version(connection, before, after, Actor(by, origin), ADDED, now_us)


def take_off(connection: Connection, tags: Sequence[str], by: str, now_us: int, *, origin: str = "worker") -> int:
    """Take tags off the list as one new version; those that are not on it are passed over. Audited.

    Args:
        connection: a transaction for writing; the list stays locked until its end.
        tags: as readers say them.
        by: a user's name, or a trade's.
        now_us: the clock.
        origin: where from.

    Returns:
        The version in force: the new one, or the old one when none was on it.
    """
    _lock(connection, now_us)
    before = _rows(connection)
    gone = {tag.strip().upper() for tag in tags} & before.keys()
    if not gone:
        return _newest(connection)
    _forget(connection, gone)
    after = {tag: one for tag, one in before.items() if tag not in gone}
    return _make_version(connection, before, after, Actor(by, origin), REMOVED, now_us)


def list_stolen(connection: Connection, *, after: str = "", limit: int = MAX_STOLEN) -> list[Listed]:
    """List what is on it by tag, from the first behind `after`."""
    query = select(stolen_tag).where(stolen_tag.c.tag > after).order_by(stolen_tag.c.tag).limit(limit)
    return [Listed(row.tag, row.note, row.case, row.since_us, row.by) for row in connection.execute(query)]


def newest_version(connection: Connection) -> Version | None:
    """Find the list in force; None when there never was one."""
    row = connection.execute(select(stolen_version).order_by(stolen_version.c.version.desc()).limit(1)).one_or_none()
    return None if row is None else Version(row.version, row.checksum, row.entries, row.made_at_us, row.by)


def content_of(connection: Connection, version: int) -> dict[str, str]:
    """Make what gateways got of a version again, from the list in force and what has changed since: note by tag."""
    content = _content(_rows(connection))
    at = stolen_change.c
    query = select(at.tag, at.before).where(at.version > version).order_by(at.version.desc())
    for tag, before in connection.execute(query):
        if before is None:
            content.pop(tag, None)
        else:
            content[tag] = before
    return content


def confirmed(connection: Connection) -> Confirmed:
    """Tell which gateways have the list in force."""
    newest = newest_version(connection)
    if newest is None:
        return Confirmed(0, checksum_of({}), 0, frozenset(), frozenset())
    found = gateways_of(connection)
    have = frozenset(one.gateway for one in found if one.version == newest.version)
    missing = frozenset(one.gateway for one in found if one.state != "deaf") - have
    return Confirmed(newest.version, newest.checksum, newest.entries, have, missing)


def gateways_of(connection: Connection) -> list[GatewayStanding]:
    """List how each gateway stands that is to have the list, by id."""
    version = _newest(connection)
    joined = stolen_at_gateway.outerjoin(gateway, stolen_at_gateway.c.gateway == gateway.c.id)
    query = select(stolen_at_gateway, gateway.c.online).select_from(joined).order_by(stolen_at_gateway.c.gateway)
    return [
        GatewayStanding(
            row.gateway, _state(row, version), row.version, row.confirmed_at_us, row.part if row.push else 0,
            row.parts, row.error,
        )
        for row in connection.execute(query)
    ]  # fmt: skip


def prune(connection: Connection, *, keep_days: int, now_us: int) -> None:
    """Forget lists older than `keep_days` and beyond `MAX_VERSIONS`, some at a time; never the one in force."""
    at = stolen_version.c
    newest = _newest(connection)
    beyond = select(at.version).order_by(at.version.desc()).offset(MAX_VERSIONS).limit(1).scalar_subquery()
    old_us = now_us - keep_days * 86_400_000_000
    query = select(at.version).where((at.made_at_us < old_us) | (at.version <= func.coalesce(beyond, 0)))
    found = connection.execute(query.where(at.version < newest).order_by(at.version).limit(_PRUNED_AT_ONCE))
    gone = found.scalars().all()
    connection.execute(delete(stolen_change).where(stolen_change.c.version.in_(gone)))
    connection.execute(delete(stolen_version).where(at.version.in_(gone)))


def said_of(note: str, case: str) -> str:
    """Put case and note together as gateways get them: one line, at most `MAX_NOTE_CHARS`."""
    return " ".join(f"{case} {note}".split())[:MAX_NOTE_CHARS]


def _state(row: Any, version: int) -> str:
    if row.is_deaf:
        return "deaf"
    if row.version == version:
        return "confirmed"
    if not row.online:
        return "offline"
    return "pushing" if row.push else "behind"


def _checked(entry: StolenEntry, by: str, now_us: int) -> Listed:
    tag = entry.tag.strip()
    if not (is_id(tag) and len(tag) <= MAX_TAG_CHARS):
        raise BadStolenError(entry.tag, f"is no tag: 1 to {MAX_TAG_CHARS} of A-Z a-z 0-9 _ . -")
    case = " ".join(entry.case.split())
    if len(case) > MAX_CASE_CHARS:
        raise BadStolenError(entry.tag, f"its case has {len(case)} characters, at most {MAX_CASE_CHARS}")
    note = " ".join(entry.note.replace("\0", " ").split())[:MAX_KEPT_NOTE_CHARS]
    ((tag, _),) = tidy([(tag, "")]).items()
    return Listed(tag, note, case.replace("\0", ""), entry.since_us or now_us, by[:200])


def _differs(one: Listed, before: Listed | None) -> bool:
    return before is None or (one.note, one.case) != (before.note, before.case)


def _merged(one: Listed, before: Listed | None) -> Listed:
    """Keep since when it is stolen, whatever is said of it later."""
    return one if before is None else Listed(one.tag, one.note, one.case, before.since_us, one.by)


def _lock(connection: Connection, now_us: int) -> None:
    """Let one change follow the other: a checksum is of the whole list."""
    hold(connection, "stolen-list", holder="", now_us=now_us, for_s=0.0)


def _rows(connection: Connection) -> dict[str, Listed]:
    return {one.tag: one for one in list_stolen(connection)}


def _content(rows: Mapping[str, Listed]) -> dict[str, str]:
    return {tag: said_of(one.note, one.case) for tag, one in rows.items()}


def _newest(connection: Connection) -> int:
    newest: int = connection.execute(select(func.coalesce(func.max(stolen_version.c.version), 0))).scalar_one()
    return newest


def _forget(connection: Connection, tags: Iterable[str]) -> None:
    for some in chunked(sorted(tags)):
        connection.execute(delete(stolen_tag).where(stolen_tag.c.tag.in_(some)))


def _make_version(
    connection: Connection,
    before: Mapping[str, Listed],
    after: Mapping[str, Listed],
    actor: Actor,
    what: str,
    now_us: int,
) -> int:
    """Make a version of what is there now, and note it in the audit."""
    old, new = _content(before), _content(after)
    version = max(_newest(connection) + 1, now_us // 1_000_000)
    row = {"version": version, "checksum": checksum_of(new), "entries": len(new), "made_at_us": now_us}
    connection.execute(insert(stolen_version).values(row | {"by": actor.name[:200]}))
    changed = sorted(tag for tag in before.keys() | after.keys() if before.get(tag) != after.get(tag))
    rows = [{"version": version, "tag": tag, "before": old.get(tag), "after": new.get(tag)} for tag in changed]
    for some in chunked([one for one in rows if one["before"] != one["after"]]):
        connection.execute(insert(stolen_change), list(some))
    details = {"version": version, "entries": len(new), "changed": len(changed), "tags": changed[:500]}
    object_ = changed[0] if len(changed) == 1 else "stolen list"
    note_audit(connection, actor=actor, what=what, object_=object_, details=details, at_us=now_us)
    return version
