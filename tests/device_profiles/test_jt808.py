"""JT/T 808 by frames that others made: what is understood, what is answered, and what noise does."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.telemetry import Value
from device_profiles.speech.jt808 import Jt808, Jt808Shared, make_jt808
from device_profiles.speech.jt808_alarms import ALARMS, CALL_ENDS_AFTER_S, AlarmMemory
from device_profiles.speech.jt808_frames import Frames, Header, Message, read_frame, write_frame
from device_profiles.speech.jt808_location import read_location
from device_profiles.speech.said import Heard, Moment, Report, Said, Speaker

# Frames of github.com/SmallChi/JT808, src/JT808.Protocol.Test/MessageBody/JT808_0x*Test.cs.
REGISTER_2013 = "7E0100002D000123456789000A002800323132333430736D616C6C6368693132333030303030303030304348493132333001D4C1413132333435BA7E"  # noqa: E501
REGISTER_2019 = "7e0100405401000000000222222222220001000000003030304b6f696b65303032303030303030303030303030303030303030303030304b6f696b65303032303030303030303030303030303030303030303030304b6f696b6530303202d4c1413132333436107e"  # noqa: E501
AUTHENTICATE = "7E010200090123456789003039343536313231313131BE7E"
HEARTBEAT = "7E00020000012345678900000A817E"
HEARTBEAT_ESCAPED = "7E0002000004002167928700" + "2B7D027E"
LOCATION = (
    "7E02000026123456789012007D02000000010000000200BA7F0E07E4F11C0028003C00001810151010100104000000640202007D01137E"
)
LOCATION_EXTRAS = "7E0200003C0400216820871D0C00000000000C00C2015B6C6E06C85698001E000000E0180916103537010400054C7D0102020000030200002504000000002B040000000030011D31010D977E"  # noqa: E501
BATCH = "7E0704005311223344556622B80002000026000000010000000200BA7F0E07E4F11C0028003C0000180715101010010400000064020200370026000000020000000100CB735507E6A32300290036007818071510103001040000006002020042D47E"  # noqa: E501
ANSWER = "7E80010005012345678900000A0064020000617E"
REGISTER_ANSWER = "7E81000009012345678900000A006400313233343536687E"
NO_SUCH_TERMINAL = "7E81000003012345678900000A006404617E"
# github.com/hylexus/jt-framework, a location of 2019 whose bits 20 and 21 are set.
LOCATION_2019 = "7E0200402D01000000000139123443210000003000000040000101CD41C2072901B00929029A005A23042821314101040000029B0202004303020309300163897E"  # noqa: E501
# Frames of github.com/cuteLittleDevil/go-jt808, terminal/testdata, one a message and version.
GO_AUTHENTICATE_2019 = "7e01024009010000000001729984173800013938373635343332313a7e"
GO_ANSWER_2019 = "7e80014005010000000001729984173800010001020000867e"
GO_REGISTER_ANSWER_2019 = "7e8100401801123456789012345620190001000100313233343536373839306162636465666768696a6b687e"
GO_LOCATION_2019 = "7e0200401c01000000000172998417380001000004000000080006eeb6ad02633df7013800030063241001235959047e"
GO_BATCH_2019 = "7e0704403f01000000000172998417380001000200001c000004000000080006eeb6ad02633df7013800030063241001235959001c000004000000080006eeb6ad02633df70138000300632410012359593f7e"  # noqa: E501
GO_REGISTER_2011 = (
    "7e010000241234567820110001001f006e63643132337777772e3830382e3736353433323101b2e2413132333435363738347e"
)
GO_REGISTER_ANSWER_2011 = "7e8100000f1234567820110001000100313233343536373832303131bd7e"

NOW = Moment(1000.0, 1_800_000_000_000_000)


def talk(*addresses: str, secret: bytes = b"", shared: Jt808Shared | None = None) -> Jt808:
    speakers = [Speaker(device=f"t{n}", address=address, secret=secret) for n, address in enumerate(addresses)]
    return make_jt808(speakers, profiles={}, shared=shared)


def hear(speech: Jt808, frame: str | bytes, moment: Moment = NOW) -> Said:
    (said,) = speech.hear(bytes.fromhex(frame) if isinstance(frame, str) else frame, moment)
    return said


def values(heard: Heard) -> dict[str, Value]:
    return dict(heard.values)


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp()) * 1_000_000


def from_terminal(message_id: int, body: bytes, serial: int = 1, *, total: int = 0, index: int = 0) -> bytes:
    header = Header(message_id, bytes.fromhex("013912345678"), serial, total=total, index=index)
    return write_frame(header, body)


def location(alarms: int, time: str = "261122120000") -> bytes:
    head = alarms.to_bytes(4, "big") + (3).to_bytes(4, "big") + (31_230_000).to_bytes(4, "big")
    return head + (121_470_000).to_bytes(4, "big") + bytes(6) + bytes.fromhex(time)


@pytest.mark.parametrize(
    "frame",
    [
        REGISTER_2013, REGISTER_2019, AUTHENTICATE, HEARTBEAT, HEARTBEAT_ESCAPED, LOCATION, LOCATION_EXTRAS, BATCH,
        ANSWER, REGISTER_ANSWER, NO_SUCH_TERMINAL, LOCATION_2019, GO_AUTHENTICATE_2019, GO_ANSWER_2019,
        GO_REGISTER_ANSWER_2019, GO_LOCATION_2019, GO_BATCH_2019, GO_REGISTER_2011, GO_REGISTER_ANSWER_2011,
    ],
)  # fmt: skip
def test_a_frame_of_others_is_read_and_written_the_same(frame: str) -> None:
    raw = bytes.fromhex(frame)
    message = read_frame(raw[1:-1])
    assert isinstance(message, Message)
    assert message.is_whole
    assert write_frame(message.header, message.body) == raw


def test_what_we_answer_is_byte_for_byte_what_others_write() -> None:
    speech = talk("12345678900")
    speech._serial = 10
    asked = write_frame(Header(0x0200, bytes.fromhex("012345678900"), 100), location(0))
    said = hear(speech, asked)
    assert said.send == b""
    assert said.token is not None
    assert speech.kept(said.token, NOW) == [Said(send=bytes.fromhex(ANSWER))]
    stranger = talk("1")
    stranger._serial = 10
    assert hear(stranger, write_frame(Header(0x0100, bytes.fromhex("012345678900"), 100), b"")).send == bytes.fromhex(
        NO_SUCH_TERMINAL
    )


def test_a_terminal_of_2019_is_answered_as_others_answer_it() -> None:
    speech = talk("17299841738", secret=b"987654321")
    assert result_of(hear(speech, GO_AUTHENTICATE_2019)) == 0
    said = hear(speech, GO_LOCATION_2019)
    assert said.token is not None
    assert [one.rule for one in said.heard[0].reports] == ["tts-fault"]
    assert said.heard[0].at_us == us("2024-10-01T23:59:59+08:00")
    speech._serial = 1
    assert speech.kept(said.token, NOW) == [Said(send=bytes.fromhex(GO_ANSWER_2019))]
    assert len(hear(talk("17299841738"), GO_BATCH_2019).heard) == 2


def test_a_location_says_where_when_and_how_it_stands() -> None:
    speech = talk("123456789012")
    said = hear(speech, LOCATION)
    (heard,) = said.heard
    assert heard.address == "123456789012"
    assert heard.at_us == us("2018-10-15T10:10:10+08:00")
    assert values(heard) == {
        "maker_alarm_15": False, "maker_alarm_16": False, "maker_alarm_17": False,
        "acc": False, "fix": True, "oil_cut": False, "circuit_cut": False,
        "doors_locked": False, "latitude": 12.222222, "longitude": 132.444444, "altitude": 40.0, "vehicle_speed": 6.0,
        "course": 0.0, "mileage": 10.0, "fuel": 12.5,
    }  # fmt: skip
    assert [(one.rule, one.kind, one.severity.value) for one in heard.reports] == [("emergency", "panic", "critical")]


def test_extras_that_are_known_are_read_and_others_skipped() -> None:
    (heard,) = hear(talk("40021682087"), LOCATION_EXTRAS).heard
    found = values(heard)
    assert {"signal": 29.0, "satellites": 13.0, "ad_0": 0.0, "signals": 0.0}.items() <= found.items()
    vendor = location(0) + bytes.fromhex("E0020102 3001 0A FF")
    read = read_location(vendor)
    assert read is not None
    assert dict(read.values)["signal"] == 10.0


def test_without_a_fix_there_is_no_position() -> None:
    body = bytearray(location(0))
    body[7] = 1
    read = read_location(bytes(body))
    assert read is not None
    assert not {"latitude", "longitude", "altitude", "vehicle_speed", "course"} & dict(read.values).keys()


@pytest.mark.parametrize(("status", "lat", "lon"), [(2, 1, 1), (6, -1, 1), (10, 1, -1), (14, -1, -1)])
def test_hemispheres_are_bits(status: int, lat: int, lon: int) -> None:
    body = location(0)
    read = read_location(body[:4] + status.to_bytes(4, "big") + body[8:])
    assert read is not None
    found = dict(read.values)
    assert (found["latitude"], found["longitude"]) == (31.23 * lat, 121.47 * lon)


@pytest.mark.parametrize("time", ["000000000000", "261322120000", "26112212AA00"])
def test_a_time_that_is_none_is_now(time: str) -> None:
    read = read_location(location(0, time))
    assert read is not None
    assert read.at_us is None


def test_a_clock_years_ahead_is_not_believed() -> None:
    (heard,) = hear(talk(""), from_terminal(0x0200, location(0, "991122120000"))).heard
    assert heard.at_us is None


def test_a_batch_is_kept_as_one_and_answered_once() -> None:
    speech = talk("112233445566")
    said = hear(speech, BATCH)
    assert [one.at_us for one in said.heard] == [us("2018-07-15T10:10:10+08:00"), us("2018-07-15T10:10:30+08:00")]
    assert said.token is not None
    assert len(speech.kept(said.token, NOW)) == 1
    assert speech.kept(said.token, NOW) == []


def test_what_is_said_again_because_its_answer_was_lost_is_kept_once() -> None:
    shared = Jt808Shared()
    first, second = talk("112233445566", shared=shared), talk("112233445566", shared=shared)
    said = hear(first, BATCH)
    assert len(hear(second, BATCH).heard) == 2  # not on the disk yet
    assert said.token is not None
    first.kept(said.token, NOW)
    again = hear(second, BATCH)
    assert (again.heard, again.token) == ((Heard(address="112233445566"),), None)
    assert result_of(again) == 0
    without_time = from_terminal(0x0200, location(0, "000000000000"))
    speech = talk("")
    for _ in range(2):
        said = hear(speech, without_time)
        assert said.token is not None
        speech.kept(said.token, NOW)


def test_a_batch_with_one_bad_report_keeps_the_others() -> None:
    one = location(0)
    body = b"\0\2\1" + len(one).to_bytes(2, "big") + one + b"\0\3abc"
    said = hear(talk(""), from_terminal(0x0704, body))
    assert len(said.heard) == 1
    assert said.token is not None
    assert "1 bad" in said.refused


def test_a_terminal_registers_and_authenticates_with_the_code_it_was_given() -> None:
    speech = talk("123456789")
    given = read_frame(hear(speech, REGISTER_2013).send[1:-1])
    assert isinstance(given, Message)
    assert given.body[:3] == b"\0\x0a\0"
    code = given.body[3:]
    again = talk("000123456789")  # after a restart, and written otherwise in the site file
    ask = write_frame(Header(0x0102, bytes.fromhex("000123456789"), 7), code)
    assert result_of(hear(again, ask)) == 0
    long = write_frame(Header(0x0102, bytes.fromhex("00000000000123456789"), 7, 1), bytes([16]) + code + bytes(35))
    assert result_of(hear(again, long)) == 0


def result_of(said: Said) -> int:
    answer = read_frame(said.send[1:-1])
    assert isinstance(answer, Message)
    assert answer.header.message_id == 0x8001
    return answer.body[4]


@pytest.mark.parametrize(
    ("frame", "model", "terminal"),
    [
        (REGISTER_2013, "smallchi123000000000", "CHI1230"),
        (REGISTER_2019, "Koike002".rjust(30, "0"), "Koike002".rjust(30, "0")),
        (GO_REGISTER_2011, "www.808.", "7654321"),
        ("7E01000021013345678906000F002C012F373031313142534A2D4D3742203030303030303001D4C1423838383838B47E", "BSJ-M7B", "0000000"),  # noqa: E501
    ],
)  # fmt: skip
def test_a_registration_says_what_the_terminal_is(frame: str, model: str, terminal: str) -> None:
    (heard,) = hear(talk(""), frame).heard
    assert values(heard) == {"terminal_model": model, "terminal_id": terminal}


def test_a_wrong_code_is_counted_and_told_to_the_staff_once() -> None:
    shared = Jt808Shared()
    speech = talk("12345678900", shared=shared)
    said = hear(speech, AUTHENTICATE)
    assert (result_of(said), said.is_staff_told, said.hang_up) == (1, True, False)
    assert "wrong code" in said.refused
    hear(speech, AUTHENTICATE)
    said = hear(speech, AUTHENTICATE)
    assert (said.is_staff_told, said.hang_up) == (False, True)
    assert result_of(hear(speech, HEARTBEAT)) == 1


def test_a_terminal_with_a_key_is_heard_only_after_it_and_cannot_register() -> None:
    speech = talk("123456789", "12345678900", secret=b"456121111")
    assert result_of(hear(speech, HEARTBEAT)) == 1
    answer = read_frame(hear(speech, REGISTER_2013).send[1:-1])
    assert isinstance(answer, Message)
    assert answer.body[2:] == b"\3"
    assert result_of(hear(speech, AUTHENTICATE)) == 0
    assert result_of(hear(speech, HEARTBEAT)) == 0


def test_an_emergency_before_authentication_is_told_to_the_staff() -> None:
    said = hear(talk("", secret=b"key"), LOCATION)
    assert (result_of(said), said.is_staff_told, said.heard) == (1, True, ())


def test_a_stranger_is_refused() -> None:
    said = hear(talk("5"), LOCATION)
    assert (result_of(said), said.heard) == (1, ())
    assert "123456789012" in said.refused


def test_what_is_not_read_is_said_to_be_unsupported() -> None:
    assert result_of(hear(talk(""), from_terminal(0x0900, b"\x41abc"))) == 3
    encrypted = write_frame(Header(0x0200, bytes(6), 1), b"x" * 28)
    raw = bytearray(encrypted[1:-2])
    raw[2] |= 0x04
    check = 0
    for byte in raw:
        check ^= byte
    assert result_of(hear(talk(""), b"\x7e" + bytes(raw) + bytes([check]) + b"\x7e")) == 3


def test_a_general_answer_of_the_terminal_is_not_answered() -> None:
    assert talk("").hear(bytes.fromhex("7E0001000501234567890004B303E8000200D37E"), NOW) == []


def split(body: bytes, sizes: int) -> list[bytes]:
    parts = [body[at : at + sizes] for at in range(0, len(body), sizes)]
    return [
        from_terminal(0x0704, part, serial=65535 + n & 0xFFFF, total=len(parts), index=n + 1)
        for n, part in enumerate(parts)
    ]


def test_a_split_batch_is_joined_and_every_packet_answered() -> None:
    body = bytes.fromhex(BATCH)[13:-2]
    frames = split(body, 30)
    speech = talk("")
    assert [said for frame in frames[:-1] for said in speech.hear(frame, NOW)] == []
    said = hear(speech, frames[-1])
    assert len(said.heard) == 2
    assert said.token is not None
    assert len(speech.kept(said.token, NOW)) == len(frames) == 3


def test_a_split_message_that_stays_incomplete_is_given_up() -> None:
    frames = split(bytes.fromhex(BATCH)[13:-2], 30)
    speech = talk("")
    speech.hear(frames[0], NOW)
    due = speech.next_at()
    assert due == NOW.now + 30
    (said,) = speech.tick(Moment(due))
    assert "incomplete" in said.refused
    assert speech.next_at() is None
    assert speech.hear(frames[1] + frames[2], Moment(due)) == []


def test_split_messages_are_bounded() -> None:
    speech = talk("")
    for serial in range(0, 5000, 100):
        speech.hear(from_terminal(0x0704, b"x", serial=serial, total=3, index=1), NOW)
    assert len(speech._joins) == 2
    assert result_of(hear(speech, from_terminal(0x0704, b"x", total=17, index=1))) == 1


def test_locations_that_are_never_kept_are_forgotten_and_never_answered() -> None:
    speech = talk("")
    tokens = [hear(speech, from_terminal(0x0200, location(0))).token for _ in range(100)]
    assert len(speech._pending) == 64
    assert tokens[0] is not None
    assert speech.kept(tokens[0], NOW) == []


def rules(reports: tuple[Report, ...], *, is_on: bool = True) -> list[str]:
    return [one.rule for one in reports if one.is_on is is_on]


def told(memory: AlarmMemory, word: int, at: int, now: float = 0.0) -> tuple[Report, ...]:
    return memory.heard(word, at_us=at, now=now, is_2019=False)


def test_a_state_begins_and_ends_as_the_terminal_says() -> None:
    memory = AlarmMemory()
    assert rules(told(memory, 1 << 8 | 1 << 26, 1)) == ["power-lost", "stolen"]
    assert rules(told(memory, 1 << 8 | 1 << 26, 2)) == []
    assert rules(told(memory, 1 << 26, 3), is_on=False) == ["power-lost"]


def test_after_a_restart_what_is_not_said_is_over() -> None:
    memory = AlarmMemory()
    told(memory, 1 << 8, 1)
    over = rules(told(memory, 1 << 8, 2), is_on=False)
    assert "stolen" in over
    assert "power-lost" not in over
    assert told(memory, 1 << 8, 3) == ()


def test_a_call_ends_by_itself_and_a_second_press_is_said_again() -> None:
    memory = AlarmMemory()
    (press,) = told(memory, 1, 1)
    assert (press.kind, press.is_on, press.ends_after_s) == ("panic", True, CALL_ENDS_AFTER_S)
    assert rules(told(memory, 1, 2, 10)) == []  # not yet answered
    assert "emergency" not in rules(told(memory, 0, 3, 20), is_on=False)
    assert rules(told(memory, 1, 4, 30)) == ["emergency"]


def test_a_call_that_goes_on_is_said_again_before_its_alarm_ends() -> None:
    memory = AlarmMemory()
    said = [now for now in range(0, 1000, 10) if rules(told(memory, 1, now + 1, float(now)))]
    assert said[0] == 0
    assert all(later - earlier < CALL_ENDS_AFTER_S for earlier, later in pairwise(said))
    assert len(said) < 10


def test_what_was_kept_during_an_outage_begins_and_ends_among_itself() -> None:
    memory = AlarmMemory()
    told(memory, 1 << 1, 100)
    told(memory, 1 << 1, 101)
    assert rules(told(memory, 1 << 8, 10)) == ["power-lost"]
    assert rules(told(memory, 1, 20)) == ["emergency"]
    assert rules(told(memory, 1 << 2, 30)) == ["fatigue"]
    now = told(memory, 1 << 1, 102)
    assert (rules(now), rules(now, is_on=False)) == ([], ["fatigue"])


def test_late_reports_end_nothing_that_is_said_now() -> None:
    memory = AlarmMemory()
    told(memory, 1 << 26, 100)
    assert told(memory, 0, 50) == ()
    assert told(memory, 0, 60) == ()


def test_bits_of_2019_are_the_makers_before() -> None:
    memory = AlarmMemory()
    assert memory.heard(1 << 16, at_us=1, now=0, is_2019=False) == ()
    assert rules(memory.heard(1 << 16, at_us=2, now=0, is_2019=True)) == ["tyre-pressure"]


def test_every_bit_has_a_name_of_its_own_and_both_languages() -> None:
    assert set(ALARMS) == set(range(32))
    assert len({(alarm.point, alarm.rule) for alarm in ALARMS.values()}) == 32
    assert all(alarm.text.keys() == {"en", "zh"} and "{label}" in alarm.text["en"] for alarm in ALARMS.values())


STREAM = b"".join(bytes.fromhex(frame) for frame in (HEARTBEAT, LOCATION, BATCH, LOCATION_2019, HEARTBEAT_ESCAPED))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, len(STREAM)])
def test_a_stream_cut_anyhow_reads_the_same(size: int) -> None:
    cut, whole = Frames(), Frames()
    found = [message for at in range(0, len(STREAM), size) for message in cut.feed(STREAM[at : at + size])]
    assert found == whole.feed(STREAM)
    assert len(found) == 5


def test_frames_may_share_a_flag() -> None:
    shared = bytes.fromhex(HEARTBEAT)[:-1] + bytes.fromhex(LOCATION)
    assert [type(one) for one in Frames().feed(shared)] == [Message, Message]


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_noise_raises_nothing_and_the_next_frame_is_read(noise: bytes, more: bytes) -> None:
    speech = talk("")
    speech.hear(noise, NOW)
    speech.hear(more, NOW)
    assert len(speech._frames._kept) <= 2 * (21 + 1023 + 1)
    # The first flag may end what noise began.
    said = speech.hear(b"\x7e" + bytes.fromhex(LOCATION), NOW)
    assert said[-1].heard


@given(st.data())
def test_a_mutated_frame_raises_nothing(data: st.DataObject) -> None:
    raw = bytearray(STREAM)
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    speech = talk("")
    speech.hear(bytes(raw), NOW)
    assert speech.hear(b"\x7e" + bytes.fromhex(LOCATION), NOW)[-1].heard


def test_an_endless_frame_costs_no_memory() -> None:
    speech = talk("")
    said = speech.hear(b"\x7e" + b"a" * 100_000, NOW)
    assert ["without a flag" in one.refused for one in said] == [True]
    for _ in range(100):
        speech.hear(b"a" * 1000, NOW)
    assert len(speech._frames._kept) <= 2 * (21 + 1023 + 1)


# Frames that real terminals sent, github.com/traccar/traccar,
# src/test/java/org/traccar/protocol/HuabaoProtocolDecoderTest.java.
@pytest.mark.parametrize(
    ("frame", "lat", "lon", "time"),
    [
        ("7E0200002A013833501744001900000000000000C201597FA806CC01580080000000081508180721210104000002F502020000030200009F7E", 22.642600, 114.032984, "2015-08-18T07:21:21"),  # noqa: E501
        ("7e0200002c00160128561400030000000000040007005de13c065c6cdb00160000000017011710054201040000a9002a02000030011b310104e47e", -6.152508, 106.720475, "2017-01-17T10:05:42"),  # noqa: E501
        ("7e020000220014012499170007000000000000400e012af16f02cbd2ba000000000000150101194257010400000077a97e", -19.591535, -46.912186, "2015-01-01T19:42:57"),  # noqa: E501
    ],
)  # fmt: skip
def test_what_real_terminals_sent_is_read(frame: str, lat: float, lon: float, time: str) -> None:
    (heard,) = hear(talk(""), frame).heard
    assert (values(heard)["latitude"], values(heard)["longitude"]) == (lat, lon)
    assert heard.at_us == us(f"{time}+08:00")


def test_a_frame_that_was_shortened_is_refused() -> None:
    # From the same file: its header says 50 bytes, 40 are there, and the checksum is that of the whole one.
    cut = (
        "7E02000032013511221122000700000000000C000301578CC006CA3A5C00470000000014072317201501040000000030011631010BD07E"
    )
    said = hear(talk(""), cut)
    assert (said.refused, said.send) == ("wrong checksum", b"")
    rechecked = bytes.fromhex(cut[:-4]) + b"\xf0\x7e"
    assert result_of(hear(talk(""), rechecked)) == 2
