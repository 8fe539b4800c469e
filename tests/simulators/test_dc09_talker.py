"""Simulated alarm hosts: what they say, and when they repeat it."""

import pytest

from contract.telemetry import Value
from device_profiles.catalogue import load_profile
from device_profiles.site import Device, PlacedDevice
from simulators.errors import SimulatorError
from simulators.talkers.dc09 import MAX_QUEUE, REPLY_S, Dc09Talker, make_talker, wrap

WALL_US = 1_316_959_924_000_000  # 14:12:04, 09-25-2011


def host(account: str = "1234", *, way: str = "ADM-CID", secret: bytes = b"", null_s: float = 60.0) -> Dc09Talker:
    return Dc09Talker(account, way=way, secret=secret, null_s=null_s, wall_us=lambda: WALL_US)


def ack(sequence: str) -> bytes:
    return wrap(f'"ACK"{sequence}L0#1234[]'.encode())


def connected(*, way: str = "ADM-CID") -> Dc09Talker:
    one = host(way=way)
    one.open(0.0)
    one.hear(ack("0001"), 0.0)
    return one


@pytest.mark.parametrize(
    ("frame", "vector"),
    [
        (("ADM-CID", "0001", "#1234|1120 01 007"),
         b'\nA5D7003B"ADM-CID"0001L0#1234[#1234|1120 01 007]_14:12:04,09-25-2011\r'),
    ],
)  # fmt: skip
def test_a_vector_is_written_exactly(frame: tuple[str, str, str], vector: bytes) -> None:
    assert host().frame(*frame) == vector


@pytest.mark.parametrize(
    ("token", "vector"),
    [("SIA-DCS", b'\n96ED0016"SIA-DCS"0001L0#1234[]\r'), ("NULL", b'\nDBA30013"NULL"0001L0#1234[]\r'),
     ("ACK", b'\n1BC10012"ACK"0001L0#1234[]\r')],
)  # fmt: skip
def test_a_vector_without_time_is_written_exactly(token: str, vector: bytes) -> None:
    assert host().frame(token, "0001", "", stamp="") == vector


def test_it_begins_with_a_link_test_and_says_one_thing_at_a_time() -> None:
    one = host()
    assert b'"NULL"0001' in one.open(0.0)
    assert one.press("zone-007", 1.0) == b""
    assert one.press("zone-008", 1.0) == b""
    said = one.hear(ack("0001"), 1.1)
    assert b'"ADM-CID"0002L0#1234[#1234|1120 00 007]' in said
    assert one.hear(ack("0001"), 1.2) == b"", "an answer to something else"
    assert b"1120 00 008" in one.hear(ack("0002"), 1.3)
    assert one.hear(ack("0003"), 1.4) == b""
    assert one.acknowledged == 3


def test_what_gets_no_answer_is_said_again_with_its_number() -> None:
    one = connected()
    said = one.press("zone-007", 10.0)
    assert one.next_at() == 10.0 + REPLY_S
    assert one.speak(10.0 + REPLY_S - 0.1) == b""
    assert one.speak(10.0 + REPLY_S) == said
    assert one.open(20.0) == said, "on a new connection too"


def test_an_answer_in_pieces_is_an_answer() -> None:
    one = connected()
    one.press("zone-007", 1.0)
    for byte in ack("0002"):
        one.hear(bytes([byte]), 1.0)
    assert one.acknowledged == 2


def test_it_tests_its_link_while_it_has_nothing_to_say() -> None:
    one = connected()
    assert one.next_at() == 60.0
    assert one.speak(59.0) == b""
    assert b'"NULL"0002' in one.speak(60.0)


def test_a_clock_that_is_refused_is_set_and_the_same_is_said_again() -> None:
    one = connected()
    one.press("zone-007", 1.0)
    again = one.hear(wrap(b'"NAK"0000R0L0A0[]_15:00:00,09-25-2011'), 1.0)
    assert again.endswith(b'"ADM-CID"0002L0#1234[#1234|1120 00 007]_15:00:00,09-25-2011\r')
    assert one.naks == 1


def test_what_cannot_be_processed_is_given_up() -> None:
    one = connected()
    one.press("zone-007", 1.0)
    assert one.hear(wrap(b'"DUH"0002L0#1234[]'), 1.0) == b""
    assert (one.refused, one.next_at()) == (1, 60.0)


def test_numbers_go_from_9999_to_1() -> None:
    one = connected()
    one._sequence = 9998
    assert b'"9999L0' in one.press("zone-001", 0.0)
    one.hear(ack("9999"), 0.0)
    assert b'"0001L0' in one.press("zone-001", 0.0)


def test_zones_open_and_close_and_other_events_are_named() -> None:
    one = connected()
    assert b"|1130 00 003]" in one.press("zone-003.e130", 0.0)
    one.hear(ack("0002"), 0.0)
    assert b"|3130 00 003]" in one.set("zone-003.e130", False, 0.0)
    one.hear(ack("0003"), 0.0)
    assert b"|3400 00 000]" in one.set("arming", "armed", 0.0)


@pytest.mark.parametrize(("key", "value"), [("door", True), ("zone-003", 1.0), ("arming", "half"), ("signal", 20.0)])
def test_what_a_host_has_not_is_refused(key: str, value: Value) -> None:
    with pytest.raises(SimulatorError):
        host().set(key, value, 0.0)
    with pytest.raises(SimulatorError):
        host().press("button_1", 0.0)


def test_a_hengbo_host_says_its_signal_in_binary() -> None:
    said = connected(way="HENG-BO").set("signal", 27, 0.0)
    assert b'"HENG-BO"0002L0#1234[#1234|1799 00 000][\x00\x01\x27]_14:12:04,09-25-2011\r' in said


def test_a_full_memory_loses_the_oldest() -> None:
    one = host()
    one.open(0.0)
    for _ in range(MAX_QUEUE + 5):
        one.press("zone-007", 0.0)
    assert one.lost == 5


def test_the_same_seed_makes_the_same_host() -> None:
    device = Device(id="host", bus="lan", profile="hengbo/hb-2050", address="00000a")
    placed = PlacedDevice(device, load_profile(device.profile), 1)
    made = [make_talker(placed, secret=b"0123456789abcdef", seed=7, wall_us=lambda: WALL_US) for _ in range(2)]
    assert made[0].open(0.0) == made[1].open(0.0)
    assert made[0].next_at() == REPLY_S
    assert made[0].hear(wrap(b'"ACK"0001L0#00000A[]'), 0.0) == made[1].hear(wrap(b'"ACK"0001L0#00000A[]'), 0.0) != b""


def test_a_hengbo_host_says_what_it_is_when_it_connects() -> None:
    device = Device(id="host", bus="lan", profile="hengbo/hb-2050", address="00000A")
    placed = PlacedDevice(device, load_profile(device.profile), 1)
    one = make_talker(placed, secret=b"", seed=0, wall_us=lambda: WALL_US)
    one.open(0.0)
    said = one.hear(wrap(b'"ACK"0001L0#00000A[]'), 0.0)
    assert b'"HENG-BO"0002L0#00000A[#00000A|1797 00 000]' in said


@pytest.mark.parametrize(("address", "secret"), [("12", b""), ("xyz", b""), ("1234", b"short"), ("1234", b"hex:1")])
def test_a_host_that_cannot_be_is_refused(address: str, secret: bytes) -> None:
    device = Device(id="host", bus="lan", profile="hengbo/hb-2050", address=address)
    with pytest.raises(SimulatorError):
        make_talker(PlacedDevice(device, load_profile(device.profile), 1), secret=secret, seed=0, wall_us=lambda: 0)
