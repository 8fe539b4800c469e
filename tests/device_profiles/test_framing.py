"""Frames are the same however their bytes come, a broken one is given up by little, and nothing is kept for long."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.speech.checksums import check, checksum_of, written
from device_profiles.speech.framing import Broken, Deframer, Framed
from device_profiles.speech.layout import (
    Checksum,
    ChecksumForm,
    ChecksumKind,
    CountedFrame,
    DelimitedFrame,
    Encoding,
    Escape,
    FixedFrame,
    Frame,
    Order,
)
from tests.device_profiles.grammar_rig import broken_in, crc_by_division, frames_in

CRC_LAST = Checksum(kind=ChecksumKind.CRC16_MODBUS, begin=1, end=-3, at=-3, form=ChecksumForm.LITTLE)
LINES = DelimitedFrame(end="0A", trim="0D", encoding=Encoding.ASCII, max_bytes=32)
DOLLAR = DelimitedFrame(start="24", end="0D 0A", encoding=Encoding.ASCII, max_bytes=32)
SLIP = DelimitedFrame(
    start="C0", end="C0", max_bytes=40, escape=Escape("DB", {"DC": "C0", "DD": "DB"}),
    checksum=Checksum(kind=ChecksumKind.XOR, begin=1, end=-2, at=-2),
)  # fmt: skip
STUFFED = DelimitedFrame(
    start="7E", end="7F", max_bytes=40, escape=Escape("7D", {"01": "7D", "02": "7E", "03": "7F"}), checksum=CRC_LAST
)
COUNTED = CountedFrame(
    start="42 4D",
    at=2,
    size=2,
    adds=4,
    max_bytes=64,
    checksum=Checksum(kind=ChecksumKind.SUM16, begin=0, end=-2, at=-2),
)
SHORT = CountedFrame(start="02", at=1, adds=3, end="03", max_bytes=20, order=Order.LITTLE)
FIXED = FixedFrame(sizes={"AA A0": 3, "AA A4": 12}, end="55", max_bytes=12)
KINDS: dict[str, Frame] = {
    "lines": LINES, "dollar": DOLLAR, "slip": SLIP, "stuffed": STUFFED, "counted": COUNTED, "short": SHORT,
    "fixed": FIXED,
}  # fmt: skip
GOOD = {
    "lines": b"temp 21.5\r\n",
    "dollar": b"$GPRP,1\r\n",
    "slip": b"\xc0\x01\xdb\xdc\xdb\xdd" + bytes([0x01 ^ 0xC0 ^ 0xDB]) + b"\xc0",
    "stuffed": b"\x7e\x05\x7d\x02" + crc_by_division(b"\x05\x7e", 0xFFFF).to_bytes(2, "little") + b"\x7f",
    "counted": b"BM\x00\x04\x12\x34" + sum(b"BM\x00\x04\x12\x34").to_bytes(2, "big"),
    "short": b"\x02\x02hi\x03",
    "fixed": bytes.fromhex("AA A4 38 54 01 B8 05 46 45 D5 03 55"),
}
# Bytes that begin, end, escape or count in these frames come up far more often than by chance.
NOISE = st.lists(
    st.sampled_from(b"\x00\x01\x02\x03\x04$\r\nBM\x7d\x7e\x7f\xaa\xa0\xa4\x55\xc0\xdb\xdc") | st.integers(0, 255)
)


@pytest.mark.parametrize("name", KINDS)
def test_a_good_frame_is_found(name: str) -> None:
    assert len(frames_in(KINDS[name], GOOD[name])) == 1


def test_escapes_are_undone_and_the_body_is_what_lies_between() -> None:
    (slip,) = Deframer(SLIP).feed(GOOD["slip"])
    assert slip == Framed(b"\xc0\x01\xc0\xdb\x1a\xc0", b"\x01\xc0\xdb")
    (line,) = Deframer(LINES).feed(GOOD["lines"])
    assert line == Framed(b"temp 21.5\n", b"temp 21.5")


@pytest.mark.parametrize("name", KINDS)
@given(data=st.data())
def test_however_the_bytes_come_the_frames_are_the_same(name: str, data: st.DataObject) -> None:
    pieces = st.lists(NOISE.map(bytes) | st.just(GOOD[name]), max_size=8)
    stream = b"".join(data.draw(pieces))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    parts = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    whole = Deframer(KINDS[name]).feed(stream)
    for cut in (parts, [bytes([byte]) for byte in stream]):
        deframer = Deframer(KINDS[name])
        assert [one for part in cut for one in deframer.feed(part)] == whole


@pytest.mark.parametrize("name", KINDS)
@given(noise=NOISE.map(bytes))
def test_after_any_noise_a_good_frame_is_found_once_the_line_has_moved_on(name: str, noise: bytes) -> None:
    """Noise may look like the head of a frame, which ends when its longest length has passed."""
    frame = KINDS[name]
    count = 2 + frame.max_bytes // len(GOOD[name])
    found = frames_in(frame, noise, *[GOOD[name]] * count)
    (good,) = frames_in(frame, GOOD[name])
    assert good in found


@pytest.mark.parametrize("name", ["dollar", "slip", "stuffed", "counted", "fixed"])
def test_a_good_frame_inside_a_broken_one_is_found(name: str) -> None:
    good = GOOD[name]
    for cut in range(1, len(good)):
        spoilt = bytearray(good)
        spoilt[cut] ^= 0x01
        for broken in (good[:cut], bytes(spoilt)):
            assert frames_in(KINDS[name], broken + good * 8)[-1:] == frames_in(KINDS[name], good)


def test_a_frame_that_waits_for_its_end_is_given_up_and_what_is_inside_it_is_found() -> None:
    deframer = Deframer(COUNTED)
    assert deframer.feed(b"BM\x00\x28" + GOOD["counted"]) == []
    assert deframer.is_open
    assert deframer.give_up() == [Broken("it was never ended"), *Deframer(COUNTED).feed(GOOD["counted"])]
    assert deframer.give_up() == []
    lines = Deframer(LINES)
    assert lines.feed(b"half a li") == []
    assert lines.give_up() == [Broken("it was never ended")]
    assert [one for one in lines.feed(GOOD["lines"]) if isinstance(one, Framed)]


@pytest.mark.parametrize("name", KINDS)
def test_what_is_kept_is_never_longer_than_the_longest_frame(name: str) -> None:
    random, deframer = Random(4), Deframer(KINDS[name])  # noqa: S311 - noise, not a secret
    heads = [GOOD[name][:-1], GOOD[name][:3], GOOD[name]]
    for _ in range(2_000):
        deframer.feed(random.choice(heads) if random.random() < 0.3 else random.randbytes(random.randrange(1, 40)))
        assert len(deframer._rest) <= KINDS[name].max_bytes


def test_a_line_that_is_too_long_is_left_out_to_its_end() -> None:
    assert frames_in(LINES, b"x" * 100 + b"temp 1\n", b"temp 2\n") == [b"temp 2\n"]
    assert broken_in(LINES, b"x" * 100 + b"\n") == ["it is longer than 32 bytes"]
    deframer = Deframer(LINES)
    deframer.feed(b"x" * 100)  # and it never ends: the next line is another
    assert deframer.is_open
    assert deframer.give_up() == [Broken("it was never ended")]
    assert deframer.feed(b"temp 2\n") == [Framed(b"temp 2\n", b"temp 2")]


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("dollar", b"$GP$GP\r\n", "another begins before it ends"),
        ("dollar", b"$" + b"x" * 40, "it is longer than 32 bytes"),
        ("slip", b"\xc0\x01\x02\xc0", "the checksum is 02, the bytes give 01"),
        ("slip", b"\xc0\x01\xdb\x01\xc0", "db 01 is no escape"),
        ("counted", b"BM\xff\xff", "a length of 65539 bytes cannot be"),
        ("counted", b"BM\x00\x04\x12\x34\x00\x00", "the checksum is 00 00, the bytes give 00 d9"),
        ("short", b"\x02\x02hi\x04", "it does not end in 03"),
        ("fixed", b"\xaa\xa0\x54", "it does not end in 55"),
    ],
)
def test_a_broken_frame_says_why(name: str, data: bytes, why: str) -> None:
    assert broken_in(KINDS[name], data)[0] == why


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (ChecksumKind.SUM8, 0xDD),
        (ChecksumKind.SUM16, 0x01DD),
        (ChecksumKind.XOR, 0x31),
        (ChecksumKind.CRC16_MODBUS, 0x4B37),
        (ChecksumKind.CRC16_ARC, 0xBB3D),
    ],
)
def test_checksums_give_the_published_check_values(kind: ChecksumKind, value: int) -> None:
    assert checksum_of(kind, b"123456789") == value  # the CRC catalogue's; the others by hand


@given(data=st.binary(max_size=64))
def test_the_crc_is_that_of_plain_division(data: bytes) -> None:
    assert checksum_of(ChecksumKind.CRC16_MODBUS, data) == crc_by_division(data, 0xFFFF)
    assert checksum_of(ChecksumKind.CRC16_ARC, data) == crc_by_division(data, 0)


@pytest.mark.parametrize("form", ChecksumForm)
def test_a_checksum_is_read_as_it_is_written(form: ChecksumForm) -> None:
    checksum = Checksum(kind=ChecksumKind.CRC16_ARC, begin=0, end=9, at=9, form=form)
    frame = b"123456789" + {"big": b"\xbb\x3d", "little": b"\x3d\xbb", "hex": b"BB3D"}[form.value]
    assert written(checksum, 0xBB3D) == frame[9:]
    assert check(checksum, frame) == ""
    assert check(checksum, frame[:-1]) != ""
    assert check(checksum, b"0" + frame[1:]) != ""


def test_hexadecimal_checksums_may_be_small_letters_and_are_never_a_number_with_a_sign() -> None:
    checksum = Checksum(kind=ChecksumKind.SUM8, begin=0, end=1, at=1, form=ChecksumForm.HEX)
    assert check(checksum, b"\xab" + b"ab") == ""
    assert check(checksum, b"\x01" + b"+1") != ""
    assert check(Checksum(kind=ChecksumKind.XOR_HEX, begin=0, end=2, at=2, form=ChecksumForm.HEX), b"zz00") != ""
