"""Frames of SIA DC-09 and what is in them: vectors, any cut of a stream, noise, binary fields, damage."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.speech.dc09_body import MAX_FIELDS, Body, parse_body, parse_time, write_time
from device_profiles.speech.dc09_frame import MAX_SPAN, Broken, Frame, FrameReader, crc16, pack
from simulators.talkers.dc09 import wrap

# From documents, other people's tests and hosts in the field; none was made by our encoder.
VECTORS = {
    '96ED0016"SIA-DCS"0001L0#1234[]': ("SIA-DCS", "0001", "1234", b"]"),
    'DBA30013"NULL"0001L0#1234[]': ("NULL", "0001", "1234", b"]"),
    '1BC10012"ACK"0001L0#1234[]': ("ACK", "0001", "1234", b"]"),
    'A5D7003B"ADM-CID"0001L0#1234[#1234|1120 01 007]_14:12:04,09-25-2011': (
        "ADM-CID", "0001", "1234", b"#1234|1120 01 007]_14:12:04,09-25-2011",
    ),
    '02130047"HENG-BO"0000R1234L6789#000000[#000000|3400 00 000]_17:15:29,12-09-2015': (
        "HENG-BO", "0000", "000000", b"#000000|3400 00 000]_17:15:29,12-09-2015",
    ),
    '93B30031"NULL"0000R1234L6789#000000[]_17:24:14,12-09-2015': (
        "NULL", "0000", "000000", b"]_17:24:14,12-09-2015",
    ),
    'F0550030"ACK"0000R1234L6789#000000[]_17:27:09,12-09-2015': (
        "ACK", "0000", "000000", b"]_17:27:09,12-09-2015",
    ),
    'F4D20029"SIA-DCS"0001RF3L77#1234[#1234|NRR|Atest]': ("SIA-DCS", "0001", "1234", b"#1234|NRR|Atest]"),
    'E4410025"NAK"0000R0L0A0[]_16:20:01,09-24-2025': ("NAK", "0000", "", b"]_16:20:01,09-24-2025"),
    'BB86002C"NULL"0001L#7303658550[]_15:39:38,06-07-2019': (
        "NULL", "0001", "7303658550", b"]_15:39:38,06-07-2019",
    ),
    '90AE003B"SIA-DCS"1701L0#0000[#0000|Nri0/RP0000]_13:32:24,12-22-2021': (
        "SIA-DCS", "1701", "0000", b"#0000|Nri0/RP0000]_13:32:24,12-22-2021",
    ),
    '1AE30075"*SIA-DCS"7549L0#CEA[94AB3AB77D5EE4E39548BDC102AD6DD92F48C787DC7891699F7C833465090CC3'
    "29B1F4606246D45D3B615A4A0C52293F": (
        "SIA-DCS", "7549", "CEA",
        b"94AB3AB77D5EE4E39548BDC102AD6DD92F48C787DC7891699F7C833465090CC329B1F4606246D45D3B615A4A0C52293F",
    ),
}  # fmt: skip
GOOD = b'\nA5D7003B"ADM-CID"0001L0#1234[#1234|1120 01 007]_14:12:04,09-25-2011\r'


def read(*pieces: bytes) -> list[Frame | Broken]:
    reader = FrameReader()
    return [found for piece in pieces for found in reader.feed(piece)]


def frames(*pieces: bytes) -> list[Frame]:
    return [found for found in read(*pieces) if isinstance(found, Frame)]


@pytest.mark.parametrize("text", VECTORS)
def test_a_vector_is_read(text: str) -> None:
    (frame,) = frames(b"\n" + text.encode() + b"\r")
    assert (frame.id, frame.sequence, frame.account, frame.body) == VECTORS[text]
    assert frame.is_encrypted == ('"*' in text)
    assert frame.echo in text.encode()


@pytest.mark.parametrize("text", VECTORS)
def test_a_vector_is_written_exactly_by_both_encoders(text: str) -> None:
    content = text[8:].encode()
    assert pack(content) == wrap(content) == b"\n" + text.encode() + b"\r"


def test_the_crc_is_that_of_the_catalogues() -> None:
    # The check value of CRC-16/ARC in every list of CRCs.
    assert crc16(b"123456789") == 0xBB3D


@given(st.lists(st.integers(1, len(GOOD) * 3 - 1), max_size=20))
def test_any_cut_of_a_stream_gives_the_same_frames(cuts: list[int]) -> None:
    stream, ends = GOOD * 3, sorted(set(cuts))
    pieces = [stream[a:b] for a, b in zip([0, *ends], [*ends, len(stream)], strict=True)]
    assert read(*pieces) == read(GOOD) * 3


def test_bytes_one_by_one_and_three_frames_at_once_are_the_same() -> None:
    assert read(*(bytes([byte]) for byte in GOOD * 3)) == read(GOOD * 3) == read(GOOD) * 3


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=5))
def test_noise_between_frames_costs_no_frame(noises: list[bytes]) -> None:
    assert frames(*(noise + GOOD for noise in noises)) == frames(GOOD) * len(noises)


@given(st.data())
def test_a_damaged_frame_is_never_taken_and_the_next_one_is_read_at_once(data: st.DataObject) -> None:
    damaged = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    if bytes(damaged) == GOOD:
        return
    found = frames(bytes(damaged), GOOD)
    # Letters of CRC and length may be small: then the frame is still the same one.
    assert found[-1] == frames(GOOD)[0]
    assert len(found) == 1 or bytes(damaged).upper() == GOOD.upper()


SLIPS = [
    b'\n57150047"ADM-CID"0247R4F39L4F39#4F39[#4F39|3401 01 057]\r',  # length in decimal
    b'\nF19A002B"ADM-CID"0056L9999#9999[#9999|1900 00 001]\r',  # CR counted
]


@pytest.mark.parametrize("slip", SLIPS)
def test_a_slip_of_a_host_in_the_field_is_understood(slip: bytes) -> None:
    (frame,) = frames(slip)
    assert frame.body == slip[slip.index(b"[") + 1 : -1]
    assert read(*(bytes([byte]) for byte in (slip + GOOD) * 2)) == [frame, *frames(GOOD)] * 2
    assert read((slip + GOOD) * 2) == [frame, *frames(GOOD)] * 2


def test_a_length_that_swallows_what_follows_holds_nothing_up() -> None:
    assert frames(b'\n12340FFF"', GOOD, GOOD) == frames(GOOD) * 2


def test_noise_is_said_once_and_a_nul_after_a_frame_is_none() -> None:
    # A host in the field sends a NUL after CR (schmupu/ioBroker.sia, issue 11).
    assert read(GOOD + b"\0" + GOOD + b"\r\n") == frames(GOOD) * 2
    found = read(b"hello", b" again", b" and again", GOOD, b"more")
    assert [type(one) for one in found] == [Broken, Frame, Broken]


def test_a_wrong_crc_or_header_is_told_and_nothing_of_it_is_taken() -> None:
    (crc,) = read(GOOD.replace(b"1120", b"1121"))
    (header,) = read(wrap(b'"ADM-CID"12L0#1234[]'))
    assert isinstance(crc, Broken)
    assert "CRC" in crc.why
    assert isinstance(header, Broken)
    assert "header" in header.why


def test_a_flood_without_an_end_keeps_no_more_than_a_frame() -> None:
    reader = FrameReader()
    head = b'\n12340FFF"'
    for _ in range(3000):
        assert not [found for found in reader.feed(head) if isinstance(found, Frame)]
    assert len(reader._bytes) <= MAX_SPAN + 2 * 4096
    assert frames(head * 500 + GOOD)[-1] == frames(GOOD)[0]


@pytest.mark.parametrize("content", [b"", b"\0", b"ABC", bytes(range(256)), b"]_[\r\n]", b"\r\n\0" * 20])
@pytest.mark.parametrize("form", ["two raw bytes", "four decimal digits", "four hexadecimal digits"])
def test_a_binary_field_of_any_bytes_is_cut_out_by_its_length(form: str, content: bytes) -> None:
    size = len(content)
    length = {
        "two raw bytes": bytes([size >> 8, size & 0xFF]),
        "four decimal digits": b"%04d" % size,
        "four hexadecimal digits": b"%04X" % size,
    }[form]
    text = b"#000000|1704 00 000][" + length + content + b"]_17:15:29,12-09-2015"
    (frame,) = frames(*(bytes([byte]) for byte in wrap(b'"HENG-BO"0001R1234L6789#000000[' + text)))
    body = parse_body(frame.body, is_padded=False)
    assert body is not None
    assert (body.data, body.binary, body.fields) == (b"#000000|1704 00 000", (content,), ())
    assert body.sent_us == 1_449_681_329_000_000


def test_extended_fields_and_time_are_cut_apart() -> None:
    body = parse_body(b"#1234|NRI1/PA007][X093W23.456][Y45N23.456][IGate]_14:12:04,09-25-2011", is_padded=False)
    stamp = b"_14:12:04,09-25-2011"
    assert body == Body(
        b"#1234|NRI1/PA007", (b"X093W23.456", b"Y45N23.456", b"IGate"), (), stamp, 1_316_959_924_000_000
    )


@pytest.mark.parametrize(
    ("text", "data"),
    [
        (b'-W"||#CEA|Nri0/RP0000]_10:03:00,09-01-2020', b"|#CEA|Nri0/RP0000"),
        (b'-W"|#CEA|Nri0/RP0000]_10:03:00,09-01-2020', b"#CEA|Nri0/RP0000"),
        (b"0000000000000|]_10:03:00,09-01-2020", b""),
        (b"000000000000]_10:03:00,09-01-2020", b""),
    ],
)
def test_the_pad_goes_up_to_the_first_bar(text: bytes, data: bytes) -> None:
    # The second is what a host in the field has sent, decrypted (eavanvalkenburg/sia, issue 28).
    body = parse_body(text, is_padded=True)
    assert body is not None
    assert body.data == data


@pytest.mark.parametrize(
    "text",
    [b"", b"no end", b"]x", b"][", b"][Iopen", b"]_14:12:04", b"]_14:12:04,09-25-2011 ", b"][\x00\x05ab]",
     b"]" + b"[Ix]" * (MAX_FIELDS + 1)],
)  # fmt: skip
def test_what_is_no_body_is_none(text: bytes) -> None:
    assert parse_body(text, is_padded=False) is None


@given(st.binary(max_size=200))
def test_no_bytes_raise_in_a_body(text: bytes) -> None:
    parse_body(text, is_padded=False)
    parse_body(b"]" + text, is_padded=True)


def test_times_are_read_and_written() -> None:
    assert write_time(1_316_959_924_999_999) == b"_14:12:04,09-25-2011"
    assert parse_time(b"14:12:04,09-25-2011") == parse_time(b"_14:12:04,09-25-2011") == 1_316_959_924_000_000
    for wrong in (b"_24:00:00,01-01-2020", b"_00:00:00,02-30-2020", b"_00:00:00,00-00-0000", b"", b"now"):
        assert parse_time(wrong) is None
