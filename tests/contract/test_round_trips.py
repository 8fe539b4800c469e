"""Decode of encode is the value, for every value."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from contract import cloudevents
from contract.alarms import AlarmEvent, decode_alarm, encode_alarm
from contract.compression import pack, unpack
from contract.errors import EncodeError
from contract.limits import MAX_TIME_US, MIN_TIME_US
from contract.presence import Birth, Death, decode_presence, encode_presence
from contract.receipts import Receipt, decode_receipt, encode_receipt
from contract.telemetry import (
    BatchHeader,
    Point,
    Sample,
    decode_telemetry,
    encode_telemetry,
    header_from_properties,
    shift_telemetry,
)
from tests.contract.strategies import alarms, batches, births, deaths, headers, receipts, times_us


@given(batches)
def test_telemetry(batch: list[Sample]) -> None:
    decoded = decode_telemetry(encode_telemetry(batch))
    assert decoded == batch
    kinds = [type(point.value) for sample in decoded for point in sample.points]
    assert kinds == [type(point.value) for sample in batch for point in sample.points]


@given(times_us)
@example(MIN_TIME_US)
@example(MAX_TIME_US - 1)
@example(4_491_483_877_216_739)  # seconds times a million, rounded, gives one less
@example(2**32 * 1_000_000 - 1)  # below this second a double still tells quarters of a microsecond apart
@example(2**32 * 1_000_000 + 1)  # above it, microseconds only just
def test_every_microsecond_survives_the_json_number(at_us: int) -> None:
    (sample,) = decode_telemetry(encode_telemetry([Sample("d", at_us, (Point("p", 0.0),))]))
    assert sample.at_us == at_us


def test_neighbours_of_one_device_and_time_come_back_as_one_sample() -> None:
    halves = [Sample("d", MIN_TIME_US, (Point("a", 1.0),)), Sample("d", MIN_TIME_US, (Point("b", 2.0),))]
    whole = Sample("d", MIN_TIME_US, (Point("a", 1.0), Point("b", 2.0)))
    assert decode_telemetry(encode_telemetry(halves)) == [whole]


def test_a_repeated_key_is_kept_as_a_sample_of_its_own() -> None:
    twice = [Sample("d", MIN_TIME_US, (Point("a", 1.0),)), Sample("d", MIN_TIME_US, (Point("a", 2.0),))]
    assert decode_telemetry(encode_telemetry(twice)) == twice


@pytest.mark.parametrize(
    "batch",
    [
        [],
        [Sample("d", MIN_TIME_US, ())],
        [Sample("d", MIN_TIME_US, (Point("p", math.nan),))],
        [Sample("d", MIN_TIME_US, (Point("p", -math.inf),))],
    ],
    ids=["no sample", "no point", "not a number", "infinite"],
)
def test_what_json_cannot_carry_is_found_before_sending(batch: list[Sample]) -> None:
    with pytest.raises(EncodeError):
        encode_telemetry(batch)


@given(alarms())
def test_alarms(event: AlarmEvent) -> None:
    decoded = decode_alarm(encode_alarm(event), gateway=event.gateway)
    assert decoded == event
    assert type(decoded.value) is type(event.value)


@given(receipts)
def test_receipts(receipt: Receipt) -> None:
    assert decode_receipt(encode_receipt(receipt)) == receipt


@given(births | deaths)
def test_presence(message: Birth | Death) -> None:
    assert decode_presence(encode_presence(message), gateway=message.gateway) == message


# Steady times of a machine, and what makes wall time of them.
@given(batch=batches, offset_us=st.integers(0, 10**15))
def test_a_shift_moves_the_times_and_nothing_else(batch: list[Sample], offset_us: int) -> None:
    steady = [Sample(sample.device, sample.at_us % 10**13, sample.points) for sample in batch]
    moved = [Sample(sample.device, sample.at_us + offset_us, sample.points) for sample in steady]
    assert shift_telemetry(encode_telemetry(steady), offset_us) == encode_telemetry(moved)


@given(headers)
def test_headers(header: BatchHeader) -> None:
    assert header_from_properties(header.to_properties(), gateway=header.gateway) == header


@given(st.binary(max_size=4096), st.integers(0, 4096))
def test_packing(payload: bytes, at_least: int) -> None:
    encoding, packed = pack(payload, at_least=at_least)
    assert unpack(packed, encoding) == payload
    assert len(packed) <= len(payload)


@given(times_us)
@example(MIN_TIME_US)
@example(MAX_TIME_US - 1)
def test_the_time_of_a_cloudevent_keeps_its_microseconds(at_us: int) -> None:
    text = cloudevents.to_rfc3339(at_us)
    assert len(text) == len("2026-01-01T00:00:00.123456Z")
    assert int(text[-7:-1]) == at_us % 1_000_000


def test_a_time_as_rfc_3339() -> None:
    assert cloudevents.to_rfc3339(1_767_225_600_000_007) == "2026-01-01T00:00:00.000007Z"
