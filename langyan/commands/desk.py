"""`langyan cloud desk`: alarms from the broker into the alarm database, and what follows from them."""

from pathlib import Path

from cloud.desk.shell import run_desk
from cloud.errors import CloudError
from cloud.settings import secret_variables
from langyan.commands.asking import SETTINGS, load
from langyan.commands.common import VERBOSE, run_until_signal
from langyan.running import start_logging


def desk(settings_file: Path = SETTINGS, *, verbose: bool = VERBOSE) -> None:
    """Run the alarm desk; any number may run side by side on PostgreSQL."""
    settings = load(settings_file)
    start_logging(verbose=verbose, secret_envs=[name for _key, name in secret_variables(settings)])
    run_until_signal(lambda stop: run_desk(settings, stop=stop), expected=CloudError)
