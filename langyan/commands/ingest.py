"""`langyan cloud ingest`: telemetry from the broker into InfluxDB."""

from pathlib import Path

from cloud.errors import CloudError
from cloud.ingest import run_ingest
from cloud.settings import secret_variables
from langyan.commands.asking import SETTINGS, load
from langyan.commands.common import VERBOSE, run_until_signal
from langyan.running import start_logging


def ingest(settings_file: Path = SETTINGS, *, verbose: bool = VERBOSE) -> None:
    """Run an ingest worker; any number may run side by side."""
    settings = load(settings_file)
    start_logging(verbose=verbose, secret_envs=[name for _key, name in secret_variables(settings)])
    run_until_signal(lambda stop: run_ingest(settings, stop=stop), expected=CloudError)
