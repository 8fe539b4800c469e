"""The stolen list: cut into parts, put together again, and told from every other by its checksum."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.commands import Command, decode_command, encode_command
from contract.errors import DecodeError
from contract.limits import MAX_NOTE_CHARS, MAX_PART_TAGS, MAX_PAYLOAD_BYTES, MAX_STOLEN, MAX_TAG_CHARS
from contract.tags import Arm, StolenPart, StolenTag, checksum_of, parts_of, tidy

NOW = 1_767_225_600_000_000
notes = st.text(max_size=5)
lists = st.dictionaries(st.sampled_from([f"T{number}" for number in range(12)]), notes)


def joined(parts: list[StolenPart], old: dict[str, str]) -> dict[str, str]:
    """Put parts together in the plainest way."""
    new = {} if parts[0].base is None else dict(old)
    for part in parts:
        for tag in part.remove:
            new.pop(tag)
    return new | {entry.tag: entry.note for part in parts for entry in part.add}


@given(lists, lists, st.booleans())
def test_parts_make_the_list_whole_or_from_the_one_before(
    old: dict[str, str],
    new: dict[str, str],
    is_whole: bool,  # noqa: FBT001
) -> None:
    parts = parts_of(new, version=3, old=None if is_whole else old)
    assert joined(parts, old) == new
    assert {part.checksum for part in parts} == {checksum_of(new)}
    assert [(part.part, part.parts) for part in parts] == [(at, len(parts)) for at in range(1, len(parts) + 1)]


@given(lists, lists)
def test_lists_that_differ_have_checksums_that_differ(one: dict[str, str], other: dict[str, str]) -> None:
    assert (checksum_of(one) == checksum_of(other)) is (one == other)


def test_the_checksum_is_what_the_page_says() -> None:
    lines = "CCB97E7361A4\t案件 7\nEAC653D3AA8E\t\n"
    expected = hashlib.sha256(lines.encode()).hexdigest()[:32]
    assert checksum_of({"EAC653D3AA8E": "", "CCB97E7361A4": "案件 7"}) == expected


def test_the_largest_change_there_can_be_fits() -> None:
    old = {f"O{number:059}": "案" * MAX_NOTE_CHARS for number in range(MAX_STOLEN)}
    new = {f"N{number:059}": "案" * MAX_NOTE_CHARS for number in range(MAX_STOLEN)}
    parts = parts_of(new, version=10**15, old=old)
    assert all(len(part.add) <= MAX_PART_TAGS and len(part.remove) <= MAX_PART_TAGS for part in parts)
    command = Command("c" * 64, "g" * 64, parts[0], NOW + 10**6, "b" * 100)
    payload = encode_command(command, at_us=NOW)
    assert len(payload) < MAX_PAYLOAD_BYTES
    assert decode_command(payload, gateway="g" * 64).order == parts[0]
    assert (
        decode_command(encode_command(Command("c", "g", parts[-1], NOW + 10**6), at_us=NOW), gateway="g").order
        == parts[-1]
    )


@pytest.mark.parametrize(
    "order",
    [
        Arm(()),
        Arm(("A",) * (MAX_PART_TAGS + 1)),
        Arm(("x" * (MAX_TAG_CHARS + 1),)),
        Arm(("no id",)),
        StolenPart(0, "0" * 32),
        StolenPart(1, "0" * 31),
        StolenPart(1, "0" * 32, part=0),
        StolenPart(1, "0" * 32, add=(StolenTag("A", "n" * (MAX_NOTE_CHARS + 1)),)),
        StolenPart(1, "0" * 32, remove=("A",) * (MAX_PART_TAGS + 1)),
    ],
)
def test_an_order_past_its_limits_is_refused(order: Arm | StolenPart) -> None:
    payload = encode_command(Command("c", "g", order, NOW + 10**6), at_us=NOW)
    with pytest.raises(DecodeError):
        decode_command(payload, gateway="g")


def test_a_list_that_people_wrote_is_tidied() -> None:
    written = [(" ccb97e7361a4", " case  7\n"), ("EAC653D3AA8E", "x" * 100)]
    assert tidy(written) == {"CCB97E7361A4": "case 7", "EAC653D3AA8E": "x" * MAX_NOTE_CHARS}
