"""Whether what stands in an InfluxDB is what `cloud.influx.schema` says."""

from cloud.influx.query import InfluxReader
from cloud.influx.schema import LONG_POLICY, MEASUREMENTS, TELEMETRY


async def faults_of(reader: InfluxReader) -> list[str]:
    """List what no measurement of the schema has: names, tags, fields and their types; [] where all fits.

    `telemetry` may have any field, and its hours with it.
    """
    faults: list[str] = []
    for series in await reader.query(f'SHOW FIELD KEYS; SHOW FIELD KEYS FROM "{LONG_POLICY}"./.*/'):
        known = MEASUREMENTS.get(series.name)
        if known is None:
            faults.append(f"{series.name}: no such measurement")
            continue
        kinds = {field.name: field.kind.value for field in known.fields}
        for name, kind in series.values:
            if known is not TELEMETRY and kinds.get(name) != kind:
                faults.append(f"{series.name}.{name} is {kind}, and not {kinds.get(name, 'known')}")
    for series in await reader.query("SHOW TAG KEYS"):
        known = MEASUREMENTS.get(series.name)
        unknown = {row[0] for row in series.values} - set(known.tags if known is not None else ())
        faults += [f"{series.name}: no such tag {name}" for name in sorted(unknown)]
    return faults
