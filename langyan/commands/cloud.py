"""`langyan cloud`: the ingest worker and the alarm desk."""

from pathlib import Path

import typer

from cloud.desk import run_desk
from cloud.errors import CloudError
from cloud.ingest import run_ingest
from cloud.settings import Settings, load_settings, secret_variables
from langyan.commands.common import VERBOSE, fail, run_until_signal
from langyan.i18n import translate as _
from langyan.running import start_logging

app = typer.Typer(no_args_is_help=True)

SETTINGS = typer.Argument(..., help=_("The settings file: broker, InfluxDB, database (TOML)."), metavar="SETTINGS.toml")


@app.command(help=_("Take telemetry from the broker into InfluxDB and answer each batch once it is stored."))
def ingest(settings_file: Path = SETTINGS, *, verbose: bool = VERBOSE) -> None:
    """Run an ingest worker; any number may run side by side."""
    settings = _load(settings_file)
    start_logging(verbose=verbose, secret_envs=[name for _key, name in secret_variables(settings)])
    run_until_signal(lambda stop: run_ingest(settings, stop=stop), expected=CloudError)


@app.command(help=_("Take alarms from the broker into the alarm database and answer each once it is stored."))
def desk(settings_file: Path = SETTINGS, *, verbose: bool = VERBOSE) -> None:
    """Run the alarm desk."""
    settings = _load(settings_file)
    start_logging(verbose=verbose, secret_envs=[name for _key, name in secret_variables(settings)])
    run_until_signal(lambda stop: run_desk(settings, stop=stop), expected=CloudError)


def _load(path: Path) -> Settings:
    try:
        return load_settings(path)
    except CloudError as error:
        raise fail([str(error)], status=2) from error
