"""Orders about tags: which are armed, and which are stolen; that list travels in parts, whole or as a difference."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated

from msgspec import Meta, Struct

from contract.ids import ID_PATTERN
from contract.limits import MAX_NOTE_CHARS, MAX_PART_TAGS, MAX_STOLEN, MAX_TAG_CHARS

# Shorter than other ids, so that "tag-<tag>", the point of its alarms, is still an id.
Tag = Annotated[str, Meta(pattern=ID_PATTERN, max_length=MAX_TAG_CHARS)]
Note = Annotated[str, Meta(max_length=MAX_NOTE_CHARS)]
Checksum = Annotated[str, Meta(pattern=r"^[0-9a-f]{32}\Z")]

_MAX_PARTS = -(-2 * MAX_STOLEN // MAX_PART_TAGS)


class Arm(Struct, frozen=True):
    """Arm tags: one that moves now is being stolen.

    Attributes:
        tags: in capitals, as readers say them.
        owner: tag of whoever may move them; None keeps the owner that they have.
    """

    tags: Annotated[tuple[Tag, ...], Meta(min_length=1, max_length=MAX_PART_TAGS)]
    owner: Tag | None = None


class Disarm(Struct, frozen=True):
    """Disarm tags; a theft alarm that stands for one of them ends."""

    tags: Annotated[tuple[Tag, ...], Meta(min_length=1, max_length=MAX_PART_TAGS)]


class StolenTag(Struct, frozen=True, array_like=True):
    """One entry of the list: the tag, and what the alarm shall say of it (a case number)."""

    tag: Tag
    note: Note = ""


class StolenPart(Struct, frozen=True):
    """One part of a new stolen list; the list is in force when all parts have come and the checksum is right.

    Attributes:
        version: of the new list; rises.
        checksum: `checksum_of` the whole new list.
        base: checksum of the list that this is a difference to; None: this is the whole list.
        part, parts: which part of how many; counted from 1.
        add: new and changed entries; `remove`: tags that are no longer stolen.
    """

    version: Annotated[int, Meta(ge=1, le=10**15)]
    checksum: Checksum
    base: Checksum | None = None
    part: Annotated[int, Meta(ge=1, le=_MAX_PARTS)] = 1
    parts: Annotated[int, Meta(ge=1, le=_MAX_PARTS)] = 1
    add: Annotated[tuple[StolenTag, ...], Meta(max_length=MAX_PART_TAGS)] = ()
    remove: Annotated[tuple[Tag, ...], Meta(max_length=MAX_PART_TAGS)] = ()


TagOrder = Arm | Disarm | StolenPart


def checksum_of(stolen: Mapping[str, str]) -> str:
    """Name the content of a list: equal lists have equal names, whoever made them.

    Args:
        stolen: note by tag.

    Returns:
        32 hexadecimal characters of the SHA-256 of the lines `<tag> TAB <note> LF`, sorted by tag.
    """
    digest = hashlib.sha256()
    for tag in sorted(stolen):
        digest.update(f"{tag}\t{stolen[tag]}\n".encode())
    return digest.hexdigest()[:32]


def parts_of(new: Mapping[str, str], *, version: int, old: Mapping[str, str] | None = None) -> list[StolenPart]:
    """Cut a list into parts that each fit a command.

    Args:
        new: note by tag; at most `MAX_STOLEN`.
        version: of the new list.
        old: the list that receivers have: only what has changed is in the parts; None: all of it is.
    """
    before = old or {}
    add = [StolenTag(tag, note) for tag, note in sorted(new.items()) if before.get(tag) != note]
    remove = sorted(before.keys() - new.keys())
    cuts = list(range(0, max(len(add), len(remove), 1), MAX_PART_TAGS))
    checksum, base = checksum_of(new), None if old is None else checksum_of(old)
    return [
        StolenPart(
            version=version,
            checksum=checksum,
            base=base,
            part=number,
            parts=len(cuts),
            add=tuple(add[cut : cut + MAX_PART_TAGS]),
            remove=tuple(remove[cut : cut + MAX_PART_TAGS]),
        )
        for number, cut in enumerate(cuts, start=1)
    ]


def tidy(entries: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Put entries together as a list: tags in capitals, notes as one line of at most `MAX_NOTE_CHARS`."""
    return {tag.strip().upper(): " ".join(note.split())[:MAX_NOTE_CHARS] for tag, note in entries}
