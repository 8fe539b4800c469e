"""Produced compared with stored: the simulators' counts against what the databases hold."""

import json
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Mapping

from msgspec import Struct

from contract.telemetry import Value
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


def query(url: str, database: str, influxql: str) -> list[dict[str, object]]:
    """Run one InfluxQL query; returns its series, times in microseconds."""
    asked = urllib.parse.urlencode({"db": database, "q": influxql, "epoch": "u"})
    with urllib.request.urlopen(f"{url}/query?{asked}", timeout=30) as answer:  # noqa: S310
        result = json.load(answer)["results"][0]
    if "error" in result:
        raise ValueError(f"InfluxDB refuses {influxql!r}: {result['error']}")
    series: list[dict[str, object]] = result.get("series", [])
    return series


def stored_counts(url: str, database: str, gateway: str) -> dict[tuple[str, str], int]:
    """Count the stored readings of one gateway by device and point."""
    ql = f"SELECT count(*) FROM {MEASUREMENT} WHERE gateway = '{gateway}' GROUP BY device"
    counts: dict[tuple[str, str], int] = {}
    for series in query(url, database, ql):
        tags, columns, values = series["tags"], series["columns"], series["values"]
        assert isinstance(tags, dict)  # noqa: S101 - the shape of InfluxDB's answer
        assert isinstance(columns, list)  # noqa: S101
        assert isinstance(values, list)  # noqa: S101
        for column, count in zip(columns[1:], values[0][1:], strict=True):
            counts[tags["device"], str(column).removeprefix("count_")] = count
    return counts


def stored_numbers(url: str, database: str, gateway: str, device: str, point: str) -> list[Value]:
    """Return every stored value of one point, oldest first."""
    ql = f"SELECT \"{point}\" FROM {MEASUREMENT} WHERE gateway = '{gateway}' AND device = '{device}'"
    return [row[1] for series in query(url, database, ql) for row in _rows(series) if row[1] is not None]


def balance(
    url: str, database: str, *, stats: Mapping[str, Stats], numbered: Mapping[str, Mapping[str, str]]
) -> Balance:
    """Compare.

    Args:
        url: InfluxDB's HTTP API.
        database: its database.
        stats: what the simulated devices of each gateway counted.
        numbered: by gateway and device the point that numbers its readings.
    """
    produced = stored = lost = duplicates = 0
    for gateway, said in stats.items():
        counts = stored_counts(url, database, gateway)
        for device, its in said.devices.items():
            for point, made in its.readings.items():
                kept = counts.get((device, point), 0)
                produced, stored = produced + made, stored + kept
                lost, duplicates = lost + max(0, made - kept), duplicates + max(0, kept - made)
            if device in numbered.get(gateway, {}):
                values = Counter(stored_numbers(url, database, gateway, device, numbered[gateway][device]))
                duplicates += sum(count - 1 for count in values.values())
    return Balance(produced, stored, lost, duplicates)


def _rows(series: dict[str, object]) -> list[list[Value]]:
    rows = series["values"]
    return rows if isinstance(rows, list) else []
