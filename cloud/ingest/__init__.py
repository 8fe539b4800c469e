"""Ingest: telemetry from the broker into InfluxDB, presence into the SQL database."""

from cloud.ingest.core import Batch, interpret
from cloud.ingest.shell import run_ingest

__all__ = ["Batch", "interpret", "run_ingest"]
