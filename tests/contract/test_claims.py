"""Who a message is from, where it lives, and what it is called."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.alarms import decode_alarm
from contract.compression import ContentEncoding
from contract.errors import DecodeError, EncodeError, Refusal
from contract.ids import alarm_id, is_id
from contract.presence import decode_presence
from contract.telemetry import NO_BOOT, BatchHeader, ClockMark, ClockSource, Lane, header_from_properties
from contract.topics import CLOUD_READY, Channel, Topic, every, parse_topic, topic
from tests.contract.golden import V1
from tests.contract.strategies import ids

NO_IDS = [
    "", ".", "-a", "_a", "a/b", "a b", "a\n", "\na", "a\0", "+", "#", "a+", "$SYS", "学校", "a" * 65, "é",
]  # fmt: skip


def test_an_alarm_id_is_the_same_everywhere_and_for_ever() -> None:
    assert alarm_id("school-17/duty-room/press_2/panic", 1_767_225_600_123_456) == "c37ad326ff0b900dd102fd5b"
    assert alarm_id("school-17/duty-room/press_2/panic", 1_767_225_600_123_457) != "c37ad326ff0b900dd102fd5b"
    assert alarm_id("school-17/duty-room/press_1/panic", 1_767_225_600_123_456) != "c37ad326ff0b900dd102fd5b"


@pytest.mark.parametrize("other", ["school-1", "school-170", "school", "SCHOOL-17"])
def test_a_message_under_another_gateways_topic_is_refused(other: str) -> None:
    for decode, file in ((decode_alarm, "alarm_raised"), (decode_presence, "birth"), (decode_presence, "death_lost")):
        with pytest.raises(DecodeError) as caught:
            decode((V1 / f"{file}.json").read_bytes(), gateway=other)
        assert caught.value.refusal is Refusal.WRONG_GATEWAY
    with pytest.raises(DecodeError) as caught:
        header_from_properties([("gateway", "school-17")], gateway=other)
    assert caught.value.refusal is Refusal.WRONG_GATEWAY


def test_a_foreign_sender_needs_no_header() -> None:
    expected = BatchHeader("school-17", NO_BOOT, Lane.LIVE, 0, ContentEncoding.IDENTITY)
    assert header_from_properties([], gateway="school-17") == expected
    assert header_from_properties([("traceparent", "00-1")], gateway="school-17") == expected


def test_the_header_on_the_wire() -> None:
    header = BatchHeader("school-17", "0f3a9c51", Lane.BACKFILL, 4711, ContentEncoding.DEFLATE)
    assert header.to_properties() == [
        ("boot", "0f3a9c51"),
        ("seq", "4711"),
        ("lane", "backfill"),
        ("content-encoding", "deflate"),
    ]
    plain = BatchHeader("school-17", "0f3a9c51", Lane.LIVE, 4711, clock=ClockMark(ClockSource.CLOUD, 12))
    assert plain.to_properties() == [("boot", "0f3a9c51"), ("seq", "4711"), ("clock", "cloud;12")]


@pytest.mark.parametrize("text", ["", "atomic", "ntp;", "ntp;-1", "ntp;x", "ntp;" + "1" * 19, "ntp;٣", ";5"])
def test_a_clock_that_is_not_understood_refuses_no_batch(text: str) -> None:
    header = header_from_properties([("clock", text)], gateway="school-17")
    assert header.clock in (None, ClockMark(ClockSource.NTP))


@pytest.mark.parametrize(
    "wrong",
    [
        ("lane", "express"),
        ("seq", ""),
        ("seq", "-1"),
        ("seq", "1.5"),
        ("seq", "٣"),
        ("seq", "1" * 19),
        ("content-encoding", "gzip"),
        ("boot", ""),
        ("boot", "a b"),
        ("boot", "x" * 65),
    ],
)
def test_a_bad_header_is_refused(wrong: tuple[str, str]) -> None:
    with pytest.raises(DecodeError) as caught:
        header_from_properties([wrong], gateway="school-17")
    assert caught.value.refusal is Refusal.BAD_HEADER


def test_the_topics_on_the_wire() -> None:
    assert [topic("school-17", channel) for channel in Channel] == [
        "langyan/v1/school-17/up/telemetry",
        "langyan/v1/school-17/up/alarm",
        "langyan/v1/school-17/up/birth",
        "langyan/v1/school-17/up/result",
        "langyan/v1/school-17/down/receipt",
        "langyan/v1/school-17/down/command",
    ]
    assert every(Channel.ALARM) == "langyan/v1/+/up/alarm"
    assert every(Channel.TELEMETRY, group="ingest") == "$share/ingest/langyan/v1/+/up/telemetry"
    assert CLOUD_READY == "langyan/v1/cloud/ready"


@given(ids, st.sampled_from(Channel))
def test_a_topic_taken_apart_is_what_it_was_made_of(gateway: str, channel: Channel) -> None:
    assert parse_topic(topic(gateway, channel)) == Topic(gateway, channel)


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "langyan/v1/",
        "langyan/v1//up/alarm",
        "langyan/v1/a/up/alarm/",
        "langyan/v1/a/up/alarm\n",
        "langyan/v1/a/up/alarm/b",
        "langyan/v1/a/up/ALARM",
        "langyan/v1/a/b/up/alarm",
        "langyan/v1/+/up/alarm",
        "langyan/v1/#",
        "langyan/v2/a/up/alarm",
        "/langyan/v1/a/up/alarm",
        "x/langyan/v1/a/up/alarm",
        "langyan/v1/langyan/v1/a/up/alarm",
        "langyan/v1/a\n/up/alarm",
        "langyan/v1/学校/up/alarm",
        f"langyan/v1/{'a' * 65}/up/alarm",
        "langyan/v1/cloud/ready",
        "$SYS/broker/version",
        "langyan/v1/a/up/alarm" * 10_000,
    ],
    ids=lambda text: text[:40],
)
def test_a_hostile_topic_is_refused(hostile: str) -> None:
    with pytest.raises(DecodeError) as caught:
        parse_topic(hostile)
    assert caught.value.refusal is Refusal.BAD_TOPIC


@pytest.mark.parametrize("text", NO_IDS)
def test_what_is_no_id_makes_no_topic(text: str) -> None:
    assert not is_id(text)
    with pytest.raises(EncodeError):
        topic(text, Channel.ALARM)


@pytest.mark.parametrize("text", [text for text in NO_IDS if text.isascii()])
def test_what_is_no_id_is_none_inside_a_message_either(text: str) -> None:
    escaped = text.replace("\n", "\\n").replace("\0", "\\u0000")
    payload = f'{{"state":"dead","gateway":"{escaped}","boot":"b","reason":"lost"}}'.encode()
    with pytest.raises(DecodeError) as caught:
        decode_presence(payload, gateway=text)
    assert caught.value.refusal is Refusal.NOT_BIRTH


@pytest.mark.parametrize("at_us", ["-1", "1" + "0" * 30, "7258118400000000"])
def test_a_birth_at_no_time_is_refused(at_us: str) -> None:
    payload = f'{{"state":"born","gateway":"g","boot":"b","version":"1","site":"s","at_us":{at_us}}}'.encode()
    with pytest.raises(DecodeError) as caught:
        decode_presence(payload, gateway="g")
    assert caught.value.refusal is Refusal.NOT_BIRTH


def test_a_gateway_without_a_clock_may_be_born_in_1970() -> None:
    payload = b'{"state":"born","gateway":"g","boot":"b","version":"1","site":"s","at_us":0}'
    assert decode_presence(payload, gateway="g").boot == "b"
