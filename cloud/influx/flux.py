"""The tasks by which InfluxDB 2.x thins readings to hours, in Flux. Pure.

They do what the continuous queries of `cloud.influx.statements` do on 1.x, but for states (true and false): Flux has no
least of them.

Source: "Process data with InfluxDB tasks", "aggregateWindow()" and "types.isType()", InfluxDB 2 and Flux 0.x.
"""

from cloud.influx.lines import MEASUREMENT
from cloud.influx.statements import THINNING

_TASK = """\
import "date"
import "types"

option task = {{name: "{name}", every: {every}, offset: 2m}}

readings = from(bucket: {raw})
    |> range(start: date.truncate(t: -{back}, unit: 1h))
    |> filter(fn: (r) => r._measurement == "{measurement}")
    |> filter(fn: (r) => types.isType(v: r._value, type: "float") or types.isType(v: r._value, type: "int"))

thin = (by, prefix, tables=<-) => tables
    |> aggregateWindow(every: 1h, fn: by, createEmpty: false, timeSrc: "_start")
    |> map(fn: (r) => ({{r with _field: prefix + r._field}}))
    |> to(bucket: {hours})

readings |> thin(by: mean, prefix: "mean_") |> yield(name: "mean")
readings |> thin(by: min, prefix: "min_") |> yield(name: "min")
readings |> thin(by: max, prefix: "max_") |> yield(name: "max")
"""


def task(name: str, *, raw: str, hours: str) -> str:
    """Write a task of `THINNING`: from the bucket of readings into that of hours.

    The hour in which the span begins is read whole: half of one would take the place of what stands there.
    """
    every, back = THINNING[name]
    return _TASK.format(name=name, every=every, back=back, raw=_text(raw), hours=_text(hours), measurement=MEASUREMENT)


def _text(words: str) -> str:
    escaped = words.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
