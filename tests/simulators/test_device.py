from struct import pack, unpack

import pytest

from device_profiles.catalogue import list_profiles, load_profile
from device_profiles.frames import read_capture
from device_profiles.model import BitField, BlockDef, Link, PointType, Simulation, Table, Transport
from simulators.device import MAX_PRESSES, Answer, SimulatedDevice
from simulators.errors import SimulatorError
from simulators.framing import rtu_frame, tcp_frame
from tests.simulators.rig import FakeClock, point, profile, simulated

HOLDING, INPUT, COIL, DISCRETE = Table.HOLDING, Table.INPUT, Table.COIL, Table.DISCRETE_INPUT
FUNCTIONS = {COIL: 1, DISCRETE: 2, HOLDING: 3, INPUT: 4}
CAPTURES = [
    pytest.param(name, place, id=f"{name}-{place}")
    for name in list_profiles()
    for place, capture in enumerate(load_profile(name).capture)
    if capture.framing is not None  # of a device that is asked
]


def ask(device: SimulatedDevice, table: Table, address: int, count: int) -> Answer:
    answer = device.answer(pack(">BHH", FUNCTIONS[table], address, count))
    assert answer is not None
    return answer


def words(answer: Answer) -> tuple[int, ...]:
    assert not answer.is_refusal, answer.pdu.hex(" ")
    return unpack(f">{answer.pdu[1] // 2}H", answer.pdu[2:])


def bits(answer: Answer, count: int) -> list[int]:
    assert not answer.is_refusal, answer.pdu.hex(" ")
    return [answer.pdu[2 + at // 8] >> at % 8 & 1 for at in range(count)]


def read(device: SimulatedDevice, table: Table, address: int, count: int) -> tuple[int, ...]:
    return words(ask(device, table, address, count))


@pytest.mark.parametrize(("name", "place"), CAPTURES)
def test_a_device_set_to_a_captures_readings_says_the_captured_bytes(name: str, place: int) -> None:
    made = load_profile(name)
    capture = made.capture[place]
    block = read_capture(capture)
    device = simulated(made, unit=block.unit)
    for key, value in capture.readings.items():
        device.set(key, value)
    answer = ask(device, block.table, block.address, block.count)
    reply = bytes.fromhex(capture.reply)
    if capture.framing is Transport.RTU:
        said = rtu_frame(block.unit, answer.pdu)
    else:
        said = tcp_frame(int.from_bytes(reply[:2], "big"), block.unit, answer.pdu)
    points = [p for p in made.point if p.table is block.table]
    mapped = {cell for p in points for cell in range(p.address, p.address + p.type.words)}
    unread = {
        cell for p in points if p.key not in capture.readings for cell in range(p.address, p.address + p.type.words)
    }
    if (mapped - unread).issuperset(range(block.address, block.address + block.count)):
        assert said == reply
    else:
        # The real device answers something in registers that the profile knows nothing of; ours answers zero. What
        # was no reading of a point could not be set.
        cells = bits(answer, block.count) if block.table.is_bits else list(words(answer))
        told = {at: cell for at, cell in enumerate(cells, block.address) if at not in unread}
        known = {at: cell if at in mapped else 0 for at, cell in enumerate(block.cells, block.address)}
        assert told == {at: cell for at, cell in known.items() if at not in unread}
    assert set(answer.points) >= set(capture.readings)


def test_gaps_the_profile_reads_through_and_blocks_answer_zero_and_all_else_is_an_illegal_address() -> None:
    made = profile(
        point("a", HOLDING, 10, simulate=Simulation(start=7)),
        point("b", HOLDING, 14, simulate=Simulation(start=8)),
        point("c", HOLDING, 30, simulate=Simulation(start=9)),
        block=(BlockDef(HOLDING, 8, 4),),
        link=Link(transports=(Transport.RTU,), max_gap=4),
    )
    device = simulated(made)
    assert read(device, HOLDING, 8, 7) == (0, 0, 7, 0, 0, 0, 8)
    assert read(device, HOLDING, 12, 1) == (0,)
    assert ask(device, HOLDING, 7, 2).pdu == b"\x83\x02"
    assert ask(device, HOLDING, 14, 2).pdu == b"\x83\x02"
    assert ask(device, HOLDING, 20, 1).pdu == b"\x83\x02", "a gap longer than max_gap is no gap"
    assert ask(device, INPUT, 10, 1).pdu == b"\x84\x02"


def test_a_block_longer_than_the_devices_longest_is_refused() -> None:
    link = Link(transports=(Transport.RTU,), max_words=2, max_bits=2)
    made = profile(
        *(point(f"p{n}", HOLDING, n) for n in range(3)),
        *(point(f"q{n}", COIL, n, PointType.BIT) for n in range(3)),
        link=link,
    )
    device = simulated(made)
    assert ask(device, HOLDING, 0, 3).pdu == b"\x83\x03"
    assert ask(device, COIL, 0, 3).pdu == b"\x81\x03"
    assert read(device, HOLDING, 1, 2) == (0, 0)


def test_a_value_swings_with_the_devices_age_and_stays_in_its_range() -> None:
    clock = FakeClock()
    made = profile(
        point(
            "t",
            INPUT,
            0,
            PointType.S16,
            scale=0.1,
            range=(-5.0, 23.0),
            simulate=Simulation(start=20.0, swing=4.0, period_s=400),
        )
    )
    device = simulated(made, clock=clock)
    seen: list[int] = []
    for age_s in (0, 100, 200, 300, 400):
        clock.now_s = 1000.0 + age_s
        seen += read(device, INPUT, 0, 1)
    assert seen == [200, 230, 200, 160, 200]


def test_a_point_set_by_hand_stays_until_it_is_let_go() -> None:
    made = profile(point("t", INPUT, 0, PointType.S16, scale=0.1, simulate=Simulation(start=20.0)))
    device = simulated(made)
    device.set("t", -1.5)
    assert read(device, INPUT, 0, 1) == (0x1_0000 - 15,)
    assert device.values() == {"t": -1.5}
    device.set_auto("t")
    assert read(device, INPUT, 0, 1) == (200,)


def test_a_normally_closed_contact_opens_when_pressed() -> None:
    made = profile(
        point("nc", DISCRETE, 0, PointType.BIT, invert=True, simulate=Simulation(start=False)),
        point("no", DISCRETE, 1, PointType.BIT, simulate=Simulation(start=False)),
    )
    device = simulated(made)
    assert ask(device, DISCRETE, 0, 2).pdu == b"\x02\x01\x01"
    device.press("nc")
    device.press("no")
    assert ask(device, DISCRETE, 0, 2).pdu == b"\x02\x01\x02"
    device.release("nc")
    assert device.values() == {"nc": False, "no": True}


def test_presses_are_remembered_with_their_wall_time_and_bounded() -> None:
    made = profile(point("b", DISCRETE, 0, PointType.BIT))
    device = simulated(made)
    device._wall_ns = lambda: 1_700_000_000_123_456_789
    assert device.press("b") == 1_700_000_000_123_456
    for _ in range(MAX_PRESSES):
        device.release("b")
    assert len(device.presses) == MAX_PRESSES
    assert {press.value for press in device.presses} == {False}


def test_bit_fields_share_a_word_and_are_written_apart() -> None:
    made = profile(
        point("low", HOLDING, 0, bits=BitField(0, 4), writable=True, simulate=Simulation(start=5)),
        point("flag", HOLDING, 0, bits=BitField(15), simulate=Simulation(start=True)),
    )
    device = simulated(made)
    assert read(device, HOLDING, 0, 1) == (0x8005,)
    device.answer(bytes.fromhex("06 00 00 00 FA"))
    assert read(device, HOLDING, 0, 1) == (0x800A,), "only the writable bits are taken"


def test_the_master_writes_writable_points_and_nothing_else() -> None:
    made = profile(
        point("on", COIL, 0, PointType.BIT, writable=True),
        point("seen", COIL, 1, PointType.BIT),
        point("wide", HOLDING, 4, PointType.U32_HIGH_FIRST, writable=True),
    )
    device = simulated(made)
    for request, reply in [
        ("05 00 00 FF 00", "05 00 00 FF 00"),
        ("05 00 01 FF 00", "85 02"),
        ("0F 00 00 00 02 01 00", "8F 02"),
        ("06 00 05 12 34", "06 00 05 12 34"),
        ("10 00 03 00 03 06 00 01 00 02 00 03", "90 02"),
    ]:
        answer = device.answer(bytes.fromhex(request))
        assert answer is not None
        assert answer.pdu == bytes.fromhex(reply)
        assert answer.points == ()
    assert device.values() == {"on": True, "seen": False, "wide": 0x1234}


def test_half_a_wide_point_is_readable_but_is_no_reading_of_it() -> None:
    made = profile(
        point("wide", HOLDING, 0, PointType.U32_HIGH_FIRST, simulate=Simulation(start=0x12345678)),
        point("next", HOLDING, 2, simulate=Simulation(start=1)),
    )
    device = simulated(made)
    answer = ask(device, HOLDING, 1, 2)
    assert words(answer) == (0x5678, 1)
    assert answer.points == ("next",)


def test_only_answers_handed_over_are_numbered_and_counted() -> None:
    made = profile(point("n", HOLDING, 0), point("m", HOLDING, 1), point("far", INPUT, 0))
    device = simulated(made, count_in="n")
    assert read(device, HOLDING, 0, 2) == (1, 0)
    assert read(device, HOLDING, 0, 2) == (1, 0), "the first was never handed over"
    for number in (1, 2, 3):
        answer = ask(device, HOLDING, 0, 2)
        assert words(answer)[0] == number == answer.number
        device.handed_over(answer)
    device.handed_over(ask(device, HOLDING, 1, 1))
    device.handed_over(ask(device, INPUT, 0, 1))
    device.handed_over(ask(device, INPUT, 5, 1))
    counts = device.counts
    assert device.number == 3
    assert counts.readings == {"n": 3, "m": 4, "far": 1}
    assert (counts.requests, counts.answers, counts.refused) == (8, 6, 1)


def test_a_noisy_answer_uses_its_number_up_but_counts_no_reading() -> None:
    device = simulated(profile(point("n", HOLDING, 0)), count_in="n")
    device.handed_over(ask(device, HOLDING, 0, 1), noisy=True)
    device.handed_over(ask(device, HOLDING, 0, 1))
    assert device.number == 2
    assert (device.counts.noisy, device.counts.answers, device.counts.readings) == (1, 1, {"n": 1})


def test_the_number_wraps_at_the_points_width_and_survives_a_reset() -> None:
    device = simulated(profile(point("n", HOLDING, 0, PointType.S16)), count_in="n")
    device.number = 0xFFFE
    for expected in (0xFFFF, 0, 1):
        answer = ask(device, HOLDING, 0, 1)
        assert words(answer) == (expected,)
        device.handed_over(answer)
    device.reset()
    assert (device.number, device.counts.readings) == (0x1_0001, {"n": 0})


def test_a_mute_device_says_nothing_takes_nothing_and_counts_no_reading() -> None:
    device = simulated(profile(point("n", HOLDING, 0, writable=True)))
    device.mute = True
    assert device.answer(bytes.fromhex("03 00 00 00 01")) is None
    assert device.answer(bytes.fromhex("06 00 00 00 07")) is None
    device.mute = False
    assert read(device, HOLDING, 0, 1) == (0,)
    assert (device.counts.ignored, device.counts.requests, device.counts.readings) == (2, 1, {"n": 0})


def test_plans_of_blocks_do_not_fill_the_memory() -> None:
    device = simulated(profile(point("a", HOLDING, 0)))
    for address in range(3000):
        ask(device, HOLDING, address, 1)
    assert len(device._bank._plans) <= 256


@pytest.mark.parametrize(
    ("do", "text"),
    [
        (lambda d: d.press("nothing"), "no point 'nothing'; it has n, t, b"),
        (lambda d: d.press("t"), "no button or contact"),
        (lambda d: d.set("t", "warm"), "not a number"),
        (lambda d: d.set("t", 1e9), "does not fit"),
        (lambda d: d.set("b", 1.0), "not true or false"),
        (lambda d: d.set("n", 4.0), "numbers the answers"),
        (lambda d: d.set_auto("x"), "no point 'x'"),
    ],
)
def test_what_cannot_be_set_is_said(do: object, text: str) -> None:
    assert callable(do)
    device = simulated(
        profile(point("n", HOLDING, 0), point("t", HOLDING, 1), point("b", COIL, 0, PointType.BIT)), count_in="n"
    )
    with pytest.raises(SimulatorError, match=text):
        do(device)


def test_a_profile_that_cannot_be_simulated_is_refused_when_the_device_is_made() -> None:
    wide = profile(point("t", HOLDING, 0, simulate=Simulation(start=10, swing=20)))
    with pytest.raises(SimulatorError, match="device 'd', point 't'"):
        simulated(wide)
    with pytest.raises(SimulatorError, match="count_in names 'x'"):
        simulated(profile(point("t", HOLDING, 0)), count_in="x")
