"""`langyan cloud api` and `openapi`: the alarm desk's HTTP API, and its document."""

import json
from pathlib import Path

import typer
from sqlalchemy import make_url

from cloud.api.app import make_routes
from cloud.api.context import make_context
from cloud.api.document import make_document
from cloud.api.server import run_api
from cloud.database import Database
from cloud.errors import CloudError
from cloud.people.store import FIRST_ADMIN
from cloud.settings import Settings, secret_variables
from langyan.commands.asking import load
from langyan.commands.common import VERBOSE, run_until_signal
from langyan.i18n import translate as _
from langyan.running import start_logging

SETTINGS = typer.Argument(..., help=_("The settings file: database, [api] (TOML)."), metavar="SETTINGS.toml")


def api(settings_file: Path = SETTINGS, *, verbose: bool = VERBOSE) -> None:
    """Run the API."""
    settings = load(settings_file, database_only=True)
    secrets = [name for _key, name in secret_variables(settings, database_only=True)]
    start_logging(verbose=verbose, secret_envs=secrets)
    run_until_signal(lambda stop: run_api(settings, stop=stop, tell=_tell), expected=CloudError)


def openapi() -> None:
    """Print the document of the API; nothing is connected."""
    with Database(make_url("sqlite://")) as database:
        document = make_document(make_routes(make_context(database, Settings())))
    typer.echo(json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True))


def _tell(password: str) -> None:
    """Say the first admin's password, this once; it stands in no log."""
    typer.echo(_("The first user is {name}; the password, shown only now: {password}").format(
        name=FIRST_ADMIN, password=password
    ))  # fmt: skip
