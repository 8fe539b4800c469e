"""What a fleet has made compared with what InfluxDB holds: every device numbers its readings from 1."""

import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import Struct

from simulators.errors import SimulatorError
from simulators.fleet.plan import Outcome, Plan, device_id

QUERY_LIMIT_S = 120.0
MEASUREMENT = "telemetry"
# Of its own time a reading is never older than the fleet; the machine's clock may be set back a little meanwhile.
SLACK_US = 5_000_000


class CountingError(SimulatorError):
    """InfluxDB did not say what it holds; the text says what it did say."""


class Numbers(Struct, frozen=True):
    """The numbers that are stored of one device."""

    count: int
    lowest: int
    highest: int
    sum: int


class Found(Struct, frozen=True):
    """Numbered readings of all devices.

    Attributes:
        made: as the fleet counted.
        stored: as the database counts.
        lost, twice: made and not stored, and stored more often than made; of each device by itself.
    """

    made: int
    stored: int
    lost: int
    twice: int


class _Series(Struct, frozen=True):
    tags: dict[str, str]
    values: list[list[float]]


class _Result(Struct, frozen=True):
    series: list[_Series] = []
    error: str = ""


class _Answer(Struct, frozen=True):
    results: list[_Result]


def stored_numbers(
    url: str, database: str, *, prefix: str, since_us: int, at_most: int
) -> dict[tuple[str, str], Numbers]:
    """Ask InfluxDB 1.x for the numbers of every device of a fleet, by gateway and device.

    Args:
        url: of its HTTP API.
        database: where the readings are.
        prefix: of the fleet's gateways.
        since_us: when the fleet began, microseconds UTC.
        at_most: the devices there are; more in the answer are an error of whoever asks.

    Raises:
        CountingError: it does not answer, or not with numbers.
    """
    # An id holds neither quote nor slash (contract.ids).
    influxql = (
        f'SELECT count("number"), min("number"), max("number"), sum("number") FROM {MEASUREMENT} '  # noqa: S608
        f"WHERE gateway =~ /^{re.escape(prefix)}-[0-9]{{5}}$/ AND time >= {since_us - SLACK_US}u "
        "GROUP BY gateway, device"
    )
    asked = urllib.parse.urlencode({"db": database, "q": influxql, "epoch": "u"})
    try:
        with urllib.request.urlopen(f"{url}/query?{asked}", timeout=QUERY_LIMIT_S) as answer:  # noqa: S310
            (result,) = msgspec.json.decode(answer.read(), type=_Answer).results
    except (urllib.error.URLError, OSError, msgspec.DecodeError, ValueError) as error:
        raise CountingError(f"{url}: {error}; is this an InfluxDB 1.x with the database {database!r}?") from error
    if result.error or len(result.series) > at_most:
        raise CountingError(f"{url}: {result.error or f'{len(result.series)} devices, at most {at_most} expected'}")
    return {
        (series.tags["gateway"], series.tags["device"]): Numbers(*(int(number) for number in series.values[0][1:]))
        for series in result.series
    }


def compare(plan: Plan, made_by: Sequence[int], stored: Mapping[tuple[str, str], Numbers]) -> Found:
    """Compare what each device has made, 1 to its last number, with what is stored of it."""
    devices = [device_id(number) for number in range(1, plan.devices + 1)]
    sides = [
        (last, stored.get((plan.gateway_id(number), device), Numbers(0, 0, 0, 0)))
        for number, last in enumerate(made_by, start=1)
        for device in devices
    ]
    return Found(
        made=sum(last for last, _ in sides),
        stored=sum(numbers.count for _, numbers in sides),
        lost=sum(max(0, last - numbers.count) + is_mixed for last, numbers, is_mixed in _mixed(sides)),
        twice=sum(max(0, numbers.count - last) + is_mixed for last, numbers, is_mixed in _mixed(sides)),
    )


def _mixed(sides: Iterable[tuple[int, Numbers]]) -> Iterable[tuple[int, Numbers, bool]]:
    """Say of each device whether as many are stored as were made, but not the same: one is lost and one there twice."""
    for last, numbers in sides:
        is_same = (numbers.lowest, numbers.highest, numbers.sum) == (min(1, last), last, last * (last + 1) // 2)
        yield last, numbers, numbers.count == last and not is_same


def count_stored(plan: Plan, outcome: Outcome, *, url: str, database: str) -> Found:
    """Compare what a fleet made with what InfluxDB 1.x holds of it.

    Raises:
        CountingError: InfluxDB does not answer.
    """
    stored = stored_numbers(
        url,
        database,
        prefix=plan.prefix,
        since_us=outcome.began_at_us,
        at_most=plan.gateways * plan.devices,
    )
    return compare(plan, outcome.made_by, stored)
