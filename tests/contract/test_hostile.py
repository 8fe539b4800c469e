"""Whatever the bytes are, a decoder gives a value or a DecodeError, soon, and within its bounds."""

import contextlib
import json
import random
import zlib
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contract import cloudevents, senml
from contract.alarms import decode_alarm
from contract.compression import ContentEncoding, unpack
from contract.errors import DecodeError, Refusal
from contract.limits import (
    MAX_BIRTH_BYTES,
    MAX_DEVICES,
    MAX_INFLATED_BYTES,
    MAX_PAYLOAD_BYTES,
    MAX_RECORDS,
    MAX_STRING_CHARS,
    MAX_WHY_CHARS,
)
from contract.presence import decode_presence
from contract.receipts import decode_receipt
from contract.telemetry import decode_telemetry, header_from_properties
from contract.topics import parse_topic
from tests.contract.golden import GATEWAY, GOLDENS, Golden

DECODERS: dict[str, Callable[[bytes], object]] = {
    "telemetry": decode_telemetry,
    "senml": lambda payload: list(senml.resolve(senml.decode(payload), now_us=0)),
    "cloudevent": cloudevents.decode,
    "alarm": lambda payload: decode_alarm(payload, gateway=GATEWAY),
    "presence": lambda payload: decode_presence(payload, gateway=GATEWAY),
    "receipt": decode_receipt,
    "inflate": lambda payload: unpack(payload, ContentEncoding.DEFLATE),
    "plain": lambda payload: unpack(payload, ContentEncoding.IDENTITY),
}

every_decoder = pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)


def refusal_of(decode: Callable[[bytes], object], payload: bytes) -> Refusal:
    with pytest.raises(DecodeError) as caught:
        decode(payload)
    assert len(caught.value.why) <= MAX_WHY_CHARS
    assert caught.value.why.isprintable()
    return caught.value.refusal


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(max_size=6) | st.sampled_from("bn bt n v vs vb t x_ id source type data state gateway".split()),
            inner,
            max_size=6,
        )
    ),
    max_leaves=20,
).map(lambda value: json.dumps(value).encode())


@every_decoder
@given(st.binary(max_size=300) | json_like)
@example(b"")
@example(b"\x00")
@example(b"null")
@example(b"\xef\xbb\xbf[]")
@example(b'"\\ud800"')
@example(b"9" * 5000)
@example(b'{"state":"born","gateway":"g","boot":"b","version":"","site":"","at_us":' + b"9" * 5000 + b"}")
def test_random_bytes(decode: Callable[[bytes], object], payload: bytes) -> None:
    with contextlib.suppress(DecodeError):
        decode(payload)


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.file)
def test_a_golden_message_damaged_anywhere(golden: Golden) -> None:
    whole = golden.payload
    chance = random.Random(golden.file)  # noqa: S311 - damage, not secrets
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << chance.randrange(8)
        spliced = whole[:place] + chance.randbytes(3) + whole[chance.randrange(len(whole)) :]
        for damaged in (whole[:place], bytes(flipped), spliced):
            with contextlib.suppress(DecodeError):
                golden.decode(damaged)


@pytest.mark.parametrize("golden", GOLDENS, ids=lambda golden: golden.file)
def test_a_golden_message_cut_anywhere_is_refused(golden: Golden) -> None:
    whole = golden.payload.rstrip()
    for length in range(len(whole)):
        refusal_of(golden.decode, whole[:length])


@pytest.mark.parametrize("brackets", ["[", '{"a":', '[{"n":"a","v":1,"x":[', '{"data":'])
@every_decoder
def test_deep_nesting_is_refused(decode: Callable[[bytes], object], brackets: str) -> None:
    payload = (brackets * (100_000 // len(brackets))).encode()
    if decode is not DECODERS["plain"]:
        assert refusal_of(decode, payload) is not Refusal.DATABASE


@every_decoder
def test_too_many_bytes_are_refused_before_they_are_looked_at(decode: Callable[[bytes], object]) -> None:
    assert refusal_of(decode, b" " * (MAX_INFLATED_BYTES + 1)) is Refusal.TOO_LARGE


def test_the_caps_are_exact() -> None:
    receipt = b'{"verdict":"stored","at_us":1}'
    assert decode_receipt(receipt.ljust(MAX_PAYLOAD_BYTES)) == decode_receipt(receipt)
    assert refusal_of(decode_receipt, receipt.ljust(MAX_PAYLOAD_BYTES + 1)) is Refusal.TOO_LARGE
    death = b'{"state":"dead","gateway":"school-17","boot":"b","reason":"lost"}'
    assert DECODERS["presence"](death.ljust(MAX_BIRTH_BYTES)) == DECODERS["presence"](death)
    assert refusal_of(DECODERS["presence"], death.ljust(MAX_BIRTH_BYTES + 1)) is Refusal.TOO_LARGE


def test_a_batch_may_inflate_to_the_limit_and_no_further() -> None:
    assert len(unpack(zlib.compress(b"a" * MAX_INFLATED_BYTES), ContentEncoding.DEFLATE)) == MAX_INFLATED_BYTES
    bomb = zlib.compress(b"a" * (MAX_INFLATED_BYTES + 1))
    assert refusal_of(DECODERS["inflate"], bomb) is Refusal.TOO_LARGE
    # The largest message that may arrive at all: a quarter of a mebibyte that would become 256 of them.
    worst = zlib.compress(b"\0" * 256 * 1024 * 1024, 9)
    assert len(worst) <= MAX_PAYLOAD_BYTES
    assert refusal_of(DECODERS["inflate"], worst) is Refusal.TOO_LARGE


@pytest.mark.parametrize(
    "payload",
    [b"", b"plain", zlib.compress(b"abc")[:-1], zlib.compress(b"abc") + b"x", zlib.compress(b"abc")[2:-4]],
    ids=["empty", "not deflated", "cut", "trailing byte", "without frame"],
)
def test_what_is_not_one_whole_deflate_frame_is_refused(payload: bytes) -> None:
    assert refusal_of(DECODERS["inflate"], payload) is Refusal.BAD_ENCODING


def test_too_many_records_are_refused_before_they_cost_memory() -> None:
    record = b'{"bn":"d/","bt":1.7e9,"n":"p","v":1}'
    assert len(senml.decode(b"[" + b",".join([record] * MAX_RECORDS) + b"]")) == MAX_RECORDS
    assert refusal_of(senml.decode, b"[" + b",".join([b"{}"] * (MAX_RECORDS + 1)) + b"]") is Refusal.TOO_LARGE
    assert refusal_of(senml.decode, b"[" + b"{" * (MAX_RECORDS + 1)) is Refusal.TOO_LARGE


def test_too_many_devices_are_refused() -> None:
    birth = {"state": "born", "gateway": GATEWAY, "boot": "b", "version": "", "site": "", "at_us": 1}
    device = {"id": "d", "profile": "", "profile_version": ""}
    payload = json.dumps(birth | {"devices": [device] * (MAX_DEVICES + 1)}).encode()
    assert refusal_of(DECODERS["presence"], payload) is Refusal.TOO_LARGE


def pack_of(**record: object) -> bytes:
    return json.dumps([{"bn": "d/", "bt": 1.7e9, "n": "p", **record}]).encode()


@pytest.mark.parametrize(
    "payload",
    [
        pack_of(vs="a" * (MAX_STRING_CHARS + 1)),
        pack_of(v=1, u="x" * 33),
        pack_of(v=1, bt=0),
        pack_of(v=1, bt=946_684_799.999999),
        pack_of(v=1, bt=7_258_118_400),
        pack_of(v=1, n="p/q"),
        pack_of(v=1, bn="d"),
        pack_of(v=1, n="a" * 65),
        pack_of(vd="aGkgCg"),
        pack_of(s=1),
        b'[{"bn":"d/","bt":1.7e9}]',
        b"[{}]",
    ],
    ids=[
        "long string", "long unit", "no time", "last century", "year 2200", "two slashes", "no slash", "long id",
        "binary value", "sum only", "base values only", "empty record",
    ],
)  # fmt: skip
def test_senml_that_is_not_our_telemetry_is_refused(payload: bytes) -> None:
    assert refusal_of(decode_telemetry, payload) is Refusal.NOT_SENML


def raised(**changes: object) -> bytes:
    envelope = json.loads(next(golden for golden in GOLDENS if golden.file == "alarm_raised.json").payload)
    data = envelope["data"] | {key: value for key, value in changes.items() if key in envelope["data"] or key == "unit"}
    return json.dumps(
        envelope | {key: value for key, value in changes.items() if key in envelope} | {"data": data}
    ).encode()


@pytest.mark.parametrize(
    "changes",
    [
        {"specversion": "0.3"},
        {"id": ""},
        {"id": "x" * 301},
        {"id": "c37ad326ff0b900dd102fd5b-cleared"},
        {"type": "langyan.alarm.shelved"},
        {"type": "other.langyan.alarm.raised"},
        {"source": "/langyan/v1/school-17/weather"},
        {"alarm": "0" * 24},
        {"device": "weather"},
        {"device": "duty-room\n"},
        {"point": "press 2"},
        {"severity": "urgent"},
        {"raised_at_us": 0},
        {"at_us": 1_767_225_600_123_455},
        {"at_us": 10**30},
        {"text": {"en": "x" * (MAX_STRING_CHARS + 1)}},
        {"text": {"x" * 36: "text"}},
        {"text": {str(number): "text" for number in range(9)}},
        {"value": "x" * (MAX_STRING_CHARS + 1)},
        {"value": []},
        {"unit": "x" * 33},
    ],
    ids=str,
)
def test_an_alarm_with_one_thing_wrong_is_refused(changes: dict[str, object]) -> None:
    assert refusal_of(DECODERS["alarm"], raised(**changes)) is Refusal.NOT_CLOUDEVENT


def test_the_sender_cannot_write_into_our_logs() -> None:
    payload = json.dumps({"verdict": "\n2026-01-01 ERROR \x1b[31m" + "x" * 5000, "at_us": 1}).encode()
    with pytest.raises(DecodeError) as caught:
        decode_receipt(payload)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) <= MAX_WHY_CHARS + len("not-receipt: ")


@given(st.lists(st.tuples(st.sampled_from("gateway boot lane seq content-encoding x".split()), st.text(max_size=80))))
@example([("seq", "٣")])
@example([("seq", "9" * 19)])
def test_random_headers(properties: list[tuple[str, str]]) -> None:
    with contextlib.suppress(DecodeError):
        header_from_properties(properties, gateway=GATEWAY)


@given(st.text(max_size=120))
def test_random_topics(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        parse_topic(text)
    assert caught.value.refusal is Refusal.BAD_TOPIC
