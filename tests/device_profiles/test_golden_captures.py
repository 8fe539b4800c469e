"""Every golden capture of the catalogue: bytes from manuals and devices against the decoder.

The frames are taken apart here by other code than the package's own, so that an error cannot cancel itself out.
"""

import pytest

from device_profiles.catalogue import list_profiles, load_profile
from device_profiles.codec import BlockDecoder
from device_profiles.model import Capture, PointDef, Profile, Transport

TABLES = {1: "coil", 2: "discrete_input", 3: "holding", 4: "input"}

CAPTURES = [
    pytest.param(profile, capture, id=f"{profile.profile}-{number}")
    for profile in map(load_profile, list_profiles())
    if profile.speaks is None
    for number, capture in enumerate(profile.capture, start=1)
]


def crc_by_division(data: bytes) -> int:
    """CRC-16/MODBUS as plain polynomial division, most significant bit first, bits reflected in and out."""
    register = 0xFFFF
    for byte in data:
        register ^= int(f"{byte:08b}"[::-1], 2) << 8
        for _ in range(8):
            register = (register << 1) ^ (0x18005 if register & 0x8000 else 0)
    return int(f"{register & 0xFFFF:016b}"[::-1], 2)


def test_the_crc_here_gives_the_published_check_value() -> None:
    assert crc_by_division(b"123456789") == 0x4B37  # CRC catalogue, CRC-16/MODBUS


def pdu_of(frame: bytes, framing: Transport | None) -> bytes:
    if framing is Transport.RTU:
        assert int.from_bytes(frame[-2:], "little") == crc_by_division(frame[:-2])
        return frame[1:-2]
    assert frame[2:4] == b"\x00\x00"
    assert int.from_bytes(frame[4:6], "big") == len(frame) - 6
    return frame[7:]


def cells_of(reply: bytes, count: int) -> list[int]:
    function, size, data = reply[0], reply[1], reply[2:]
    assert size == len(data)
    if function in (1, 2):
        bits = "".join(f"{byte:08b}"[::-1] for byte in data)
        assert set(bits[count:]) <= {"0"}
        return [int(bit) for bit in bits[:count]]
    assert size == 2 * count
    return [high * 256 + low for high, low in zip(data[::2], data[1::2], strict=True)]


def points_inside(profile: Profile, function: int, address: int, count: int) -> list[PointDef]:
    return [
        point
        for point in profile.point
        if point.table.value == TABLES[function]
        and point.address >= address
        and point.address + (2 if "32" in point.type.value else 1) <= address + count
    ]


@pytest.mark.parametrize(("profile", "capture"), CAPTURES)
def test_captured_bytes_give_the_readings_written_beside_them(profile: Profile, capture: Capture) -> None:
    request = pdu_of(bytes.fromhex(capture.request), capture.framing)
    reply = pdu_of(bytes.fromhex(capture.reply), capture.framing)
    address, count = int.from_bytes(request[1:3], "big"), int.from_bytes(request[3:5], "big")
    assert len(request) == 5
    assert reply[0] == request[0]
    points = points_inside(profile, request[0], address, count)
    good, bad = BlockDecoder(points, address).decode(cells_of(reply, count))
    assert {point.key: point.value for point in good} == capture.readings
    assert bad == ()
    assert [point.unit for point in good] == [point.unit for point in points]


@pytest.mark.parametrize(("profile", "capture"), CAPTURES)
def test_a_capture_is_addressed_to_the_factory_unit(profile: Profile, capture: Capture) -> None:
    request, reply = bytes.fromhex(capture.request), bytes.fromhex(capture.reply)
    at = 0 if capture.framing is Transport.RTU else 6
    assert request[at] == reply[at] == profile.link.unit
