"""SenML JSON (RFC 8428): records with base values in, resolved records out.

Only the JSON form is spoken. Nothing here knows of gateways or devices; `contract.telemetry` does.
"""

import math
import re
from collections.abc import Iterable, Iterator

import msgspec
from msgspec import UNSET, Struct, UnsetType

from contract.bounded import decode_json
from contract.errors import DecodeError, Refusal
from contract.limits import MAX_INFLATED_BYTES, MAX_RECORDS

MEDIA_TYPE = "application/senml+json"
VERSION = 10
# Times below 2**28 are relative to now (RFC 8428, 4.5.3).
RELATIVE_BELOW_S = 2**28
# Beyond the year 5000: no time, and far enough below 2**63 microseconds to add two of them.
MAX_SECONDS = 1e11

_NAME_FIRST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_NAME = _NAME_FIRST | frozenset("-:./_")
# A label that ends in `_`, plain or escaped; a string value may look like one, so a match only asks for a closer look.
_MAY_BE_MUST_UNDERSTAND = re.compile(rb'(?:_|\\u005[fF])"\s*:')


class Record(Struct, frozen=True, omit_defaults=True):
    """One SenML record as it stands in a pack (RFC 8428, table 1)."""

    bn: str | UnsetType = UNSET
    bt: float | UnsetType = UNSET
    bu: str | UnsetType = UNSET
    bv: float | UnsetType = UNSET
    bs: float | UnsetType = UNSET
    bver: int | UnsetType = UNSET
    n: str | UnsetType = UNSET
    u: str | UnsetType = UNSET
    v: float | UnsetType = UNSET
    vs: str | UnsetType = UNSET
    vb: bool | UnsetType = UNSET
    vd: str | UnsetType = UNSET
    s: float | UnsetType = UNSET
    t: float | UnsetType = UNSET
    ut: float | UnsetType = UNSET


class Resolved(Struct, frozen=True):
    """One record with nothing left to its neighbours: absolute time in microseconds, full name."""

    name: str
    time_us: int
    unit: str | None = None
    v: float | None = None
    vs: str | None = None
    vb: bool | None = None
    vd: str | None = None
    sum: float | None = None


_decoder = msgspec.json.Decoder(list[Record])
_keys_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_encoder = msgspec.json.Encoder()


def encode(records: Iterable[Record]) -> bytes:
    """Write a pack."""
    return _encoder.encode(list(records))


def decode(payload: bytes) -> list[Record]:
    """Read a pack, unresolved.

    Raises:
        DecodeError: NOT_SENML, with the JSON path of the fault; TOO_LARGE past `MAX_INFLATED_BYTES`
            or `MAX_RECORDS` braces (braces in strings count too: looking closer would cost the memory it saves).
    """
    if payload.count(b"{") > MAX_RECORDS:
        raise DecodeError(Refusal.TOO_LARGE, f"more than {MAX_RECORDS} records")
    records = decode_json(_decoder, payload, refusal=Refusal.NOT_SENML, at_most=MAX_INFLATED_BYTES)
    if not records:
        raise DecodeError(Refusal.NOT_SENML, "a pack holds at least one record")
    if _MAY_BE_MUST_UNDERSTAND.search(payload):
        _refuse_must_understand(payload)
    return records


def _refuse_must_understand(payload: bytes) -> None:
    """A label ending in `_` must be understood or the pack refused (RFC 8428, 4.4)."""
    packs = decode_json(_keys_decoder, payload, refusal=Refusal.NOT_SENML, at_most=MAX_INFLATED_BYTES)
    for index, labels in enumerate(packs):
        for label in labels:
            if label.endswith("_"):
                why = f"record {index}: label {label!r} must be understood and is not"
                raise DecodeError(Refusal.NOT_SENML, why)


def resolve(records: Iterable[Record], *, now_us: int | None = None) -> Iterator[Resolved]:
    """Apply base values and relative times, in order (RFC 8428, 4.6).

    A record of base fields only sets them and is no measurement itself (RFC 8428, 5.1.7, first example).

    Args:
        records: one pack.
        now_us: the receiver's clock, for relative times; None refuses them.

    Raises:
        DecodeError: NOT_SENML for a bad name, more than one value, an unknown version, or a relative
            time without `now_us`; the text names the record.
    """
    base_name, base_unit = "", None
    base_us, base_value, base_sum = 0, 0.0, 0.0
    for index, record in enumerate(records):
        if record.bver is not UNSET and record.bver > VERSION:
            raise _refused(index, f"version {record.bver} is newer than {VERSION}")
        base_name = base_name if record.bn is UNSET else record.bn
        base_unit = base_unit if record.bu is UNSET else record.bu
        base_value = base_value if record.bv is UNSET else record.bv
        base_sum = base_sum if record.bs is UNSET else record.bs
        base_us = base_us if record.bt is UNSET else _microseconds(record.bt, index)
        if record.n is UNSET and _is_base_only(record):
            continue
        offset_us = 0 if record.t is UNSET else _microseconds(record.t, index)
        _check_values(record, index, has_base=base_value != 0.0)
        yield Resolved(
            name=_checked_name(base_name + (record.n or ""), index),
            time_us=_absolute(base_us + offset_us, now_us, index),
            unit=base_unit if record.u is UNSET else record.u,
            v=_number(record, base_value, index),
            vs=None if record.vs is UNSET else record.vs,
            vb=None if record.vb is UNSET else record.vb,
            vd=None if record.vd is UNSET else record.vd,
            sum=_sum(record, base_sum, index),
        )


def _is_base_only(record: Record) -> bool:
    """Tell whether a record without a name has no other regular field either."""
    regular = (record.u, record.v, record.vs, record.vb, record.vd, record.s, record.t, record.ut)
    return all(field is UNSET for field in regular)


def _number(record: Record, base_value: float, index: int) -> float | None:
    if record.v is not UNSET:
        return _finite(base_value + record.v, index)
    is_bare = record.vs is UNSET and record.vb is UNSET and record.vd is UNSET
    return base_value if is_bare and base_value else None


def _sum(record: Record, base_sum: float, index: int) -> float | None:
    if record.s is not UNSET:
        return _finite(base_sum + record.s, index)
    return base_sum or None


def _finite(number: float, index: int) -> float:
    """Two finite numbers may add up to an infinite one, which is no value and which no database takes."""
    if not math.isfinite(number):
        raise _refused(index, "its value and the base value add up past the largest number")
    return number


def _check_values(record: Record, index: int, *, has_base: bool) -> None:
    count = sum(value is not UNSET for value in (record.v, record.vs, record.vb, record.vd))
    if count > 1:
        raise _refused(index, "more than one of v, vs, vb, vd")
    if not count and record.s is UNSET and not has_base:
        raise _refused(index, "neither a value nor a sum")


def _absolute(time_us: int, now_us: int | None, index: int) -> int:
    if time_us >= RELATIVE_BELOW_S * 1_000_000:
        return time_us
    if now_us is None:
        raise _refused(index, "a relative time, where only absolute times are taken")
    return now_us + time_us


def _microseconds(seconds: float, index: int) -> int:
    """Seconds as whole microseconds: exact for every time that was once a whole microsecond."""
    if not math.isfinite(seconds) or abs(seconds) > MAX_SECONDS:
        raise _refused(index, f"time {seconds} is out of range")
    # Apart, as the product of the whole would be rounded once more: from 2106 to 2112 that loses a microsecond.
    fraction, whole = math.modf(seconds)
    return int(whole) * 1_000_000 + round(fraction * 1_000_000)


def _checked_name(name: str, index: int) -> str:
    if not name or name[0] not in _NAME_FIRST or not _NAME.issuperset(name):
        why = f"name {name[:80]!r}: letters, digits and - : . / _ only, a letter or digit first"
        raise _refused(index, why)
    return name


def _refused(index: int, why: str) -> DecodeError:
    return DecodeError(Refusal.NOT_SENML, f"record {index}: {why}")
