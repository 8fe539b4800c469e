"""Produced compared with stored: the simulators' counts against what the databases hold."""

import urllib.parse
import urllib.request
from collections.abc import Collection, Mapping
from itertools import pairwise

import msgspec
from msgspec import Struct

from contract.telemetry import Value
from langyan.errors import LangyanError
from langyan.given_up import forgive
from simulators.control_messages import Stats

MEASUREMENT = "telemetry"


class Balance(Struct, frozen=True):
    """Readings of simulated devices, point by point.

    Attributes:
        produced: readings in answers that a simulated device gave whole.
        stored: readings of those devices in InfluxDB.
        lost: produced and not stored, summed over points, each by itself.
        duplicates: stored more often than produced, and numbered readings stored twice.
    """

    produced: int
    stored: int
    lost: int
    duplicates: int


class Series(Struct, frozen=True):
    """One series of an InfluxQL answer; a row begins with its time in microseconds."""

    columns: list[str]
    values: list[list[Value | None]] = []
    tags: dict[str, str] = {}


class _Result(Struct, frozen=True):
    series: list[Series] = []
    error: str = ""


class _Answer(Struct, frozen=True):
    results: list[_Result]


class QueryError(LangyanError):
    """InfluxDB did not answer a query with rows."""


def query(url: str, database: str, influxql: str) -> list[Series]:
    """Run one InfluxQL query.

    Raises:
        QueryError: InfluxDB refuses it.
    """
    asked = urllib.parse.urlencode({"db": database, "q": influxql, "epoch": "u"})
    with urllib.request.urlopen(f"{url}/query?{asked}", timeout=30) as answer:  # noqa: S310
        (result,) = msgspec.json.decode(answer.read(), type=_Answer).results
    if result.error:
        raise QueryError(f"{influxql!r}: {result.error}")
    return result.series


def stored_counts(url: str, database: str, gateway: str) -> dict[tuple[str, str], int]:
    """Count the stored readings of one gateway by device and point."""
    # Ids hold no quotes (contract.ids), so they may stand in the query as they are.
    ql = f"SELECT count(*) FROM {MEASUREMENT} WHERE gateway = '{gateway}' GROUP BY device"  # noqa: S608
    return {
        (series.tags["device"], column.removeprefix("count_")): int(count or 0)
        for series in query(url, database, ql)
        for column, count in zip(series.columns[1:], series.values[0][1:], strict=True)
    }


def stored_numbers(url: str, database: str, gateway: str, device: str, point: str) -> list[Value]:
    """Return every stored value of one point, oldest first."""
    ql = f"SELECT \"{point}\" FROM {MEASUREMENT} WHERE gateway = '{gateway}' AND device = '{device}'"  # noqa: S608
    rows = [row for series in query(url, database, ql) for row in series.values]
    return [value for _, value in rows if value is not None]


def balance(
    url: str,
    database: str,
    *,
    stats: Mapping[str, Stats],
    numbered: Mapping[str, Mapping[str, str]],
    outputs: Collection[str] = (),
    given_up: Mapping[tuple[str, str], int] | None = None,
) -> Balance:
    """Compare.

    Args:
        url: InfluxDB's HTTP API.
        database: its database.
        stats: what the simulated devices of each gateway counted.
        numbered: by gateway and device the point that numbers its readings.
        outputs: points that are left out, because a write reads them back, and that is no reading.
        given_up: by gateway and bus, answers that came when nobody waited for them any more.
    """
    produced = stored = lost = duplicates = 0
    late = dict(given_up or {})
    for gateway, said in stats.items():
        counts = stored_counts(url, database, gateway)
        for device, its in said.devices.items():
            made = {point: count for point, count in its.counts.readings.items() if point not in outputs}
            missing = {point: count - counts.get((device, point), 0) for point, count in made.items()}
            forgiven = forgive(late, (gateway, its.bus), missing)
            produced, stored = produced + sum(made.values()), stored + sum(made.values()) - sum(missing.values())
            lost += sum(max(0, count - forgiven) for count in missing.values())
            duplicates += sum(max(0, -count) for count in missing.values())
            if device in numbered.get(gateway, {}):
                numbers = stored_numbers(url, database, gateway, device, numbered[gateway][device])
                duplicates += sum(one == other for one, other in pairwise(numbers))
    return Balance(produced, stored, lost, duplicates)
