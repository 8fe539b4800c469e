"""The stolen list: what is on it, its versions, and which gateway has confirmed which."""

from collections.abc import Sequence

from msgspec import Struct
from sqlalchemy import Connection


class StolenEntry(Struct, frozen=True):
    """One entry.

    Attributes:
        tag: as readers say it; kept in capitals.
        note: what the alarm shall say; with the case at most `MAX_NOTE_CHARS` of it reach the gateways.
        case: the number of the police's case, "" for none.
        since_us: since when it is stolen; 0: since it was put on the list.
    """

    tag: str
    note: str = ""
    case: str = ""
    since_us: int = 0


class Confirmed(Struct, frozen=True):
    """How far the list in force has come.

    Attributes:
        version: of the list in force; 0 when there never was one.
        checksum: `contract.tags.checksum_of` what gateways get.
        count: entries.
        gateways: those that have confirmed it.
        missing: those that are to have it and have not confirmed it; the offline ones too.
    """

    version: int
    checksum: str
    count: int
    gateways: frozenset[str]
    missing: frozenset[str]


def add_stolen(
    connection: Connection, entries: Sequence[StolenEntry], by: str, now_us: int, *, origin: str = "worker"
) -> int:
    """Put entries on the list, or change them, as one new version in the caller's transaction; audited.

    Returns:
        The version in force: the new one, or the old one when nothing changes.

    Raises:
        BadStolenError: a tag is no tag; `StolenFullError`: more than `MAX_STOLEN` entries.
    """
    raise NotImplementedError


def take_off(connection: Connection, tags: Sequence[str], by: str, now_us: int, *, origin: str = "worker") -> int:
    """Take tags off the list as one new version; those that are not on it are passed over. Audited.

    Returns:
        The version in force.
    """
    raise NotImplementedError


def confirmed(connection: Connection) -> Confirmed:
    """Tell which gateways have the list in force."""
    raise NotImplementedError
