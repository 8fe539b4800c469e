"""InfluxDB, all versions behind one interface."""

from cloud.influx.v1 import InfluxV1
from cloud.influx.v2 import InfluxV2
from cloud.influx.writer import InfluxWriter
from cloud.settings import Influx, Influx1

__all__ = ["InfluxV1", "InfluxV2", "InfluxWriter", "open_writer"]


def open_writer(settings: Influx) -> InfluxV1 | InfluxV2:
    """Choose the writer by the settings' version; call it inside a running event loop."""
    return InfluxV1(settings) if isinstance(settings, Influx1) else InfluxV2(settings)
