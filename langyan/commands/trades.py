"""`langyan cloud trades`: fire danger, bike watch, patrols and vehicles."""

from pathlib import Path

from cloud.errors import CloudError
from cloud.settings import secret_variables
from cloud.trades.shell import run_trades
from langyan.commands.asking import SETTINGS, load
from langyan.commands.common import VERBOSE, run_until_signal
from langyan.running import start_logging


def trades(settings_file: Path = SETTINGS, *, verbose: bool = VERBOSE) -> None:
    """Run the trades' worker; any number may run side by side on PostgreSQL."""
    settings = load(settings_file)
    start_logging(verbose=verbose, secret_envs=[name for _key, name in secret_variables(settings)])
    run_until_signal(lambda stop: run_trades(settings, stop=stop), expected=CloudError)
