"""`langyan sim run` and `langyan sim scenarios`: play scenarios, and list those that come with the package."""

import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib import import_module
from pathlib import Path

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from device_profiles.faults import ConfigError
from langyan.commands.common import PROFILES, fail
from langyan.i18n import language
from langyan.i18n import translate as _
from langyan.running import FAILED, FAULTY, INTERRUPTED
from langyan.scenario.report import Report, Reports, Wishes, to_junit
from simulators.scenario.loader import Scenario, load_scenario, shipped

SCENARIO = typer.Argument(
    ..., help=_("A scenario file, or the name of one that comes with the package."), metavar="SCENARIO.toml..."
)


def run(
    scenarios: list[str] = SCENARIO,
    *,
    json_file: Path | None = typer.Option(None, "--json", help=_("Write the result as JSON."), metavar="FILE"),
    junit: Path | None = typer.Option(None, "--junit", help=_("Write the result as JUnit XML."), metavar="FILE"),
    keep: Path | None = typer.Option(
        None, "--keep", file_okay=False, help=_("Keep site files, databases and logs in this folder."), metavar="DIR"
    ),
    jobs: int = typer.Option(1, "--jobs", "-j", min=1, max=64, help=_("Play so many scenarios at a time.")),
    slack: float = typer.Option(
        1.0, "--slack", min=1.0, max=100.0, help=_("What must happen within a time may take so many times as long.")
    ),
    profiles: Path | None = PROFILES,
) -> None:
    """Play scenarios; status 1 if an expectation failed, 2 if a scenario was refused and nothing was started."""
    for file in (json_file, junit):
        if file is not None and (file.is_dir() or not file.parent.is_dir()):
            text = _("{file} cannot be written; name a file in a folder that exists")
            raise fail([text.format(file=file)], status=FAULTY)
    paths = [shipped().get(name, Path(name)) for name in scenarios]
    wishes = Wishes(keep, slack, profiles)
    loaded = _load(paths, profiles)
    console = Console()
    # Ended in order by these too: by itself SIGTERM would leave the temporary folder behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        reports = _play_all(loaded, wishes, jobs)
    except KeyboardInterrupt as error:
        raise fail([_("Stopped; nothing is left running.")], status=INTERRUPTED) from error
    for report in reports:
        console.print(_table(report))
    _write(reports, json_file, junit)
    if not all(report.is_good for report in reports):
        raise typer.Exit(FAILED)


def scenarios() -> None:
    """List the scenarios that come with the package."""
    table = Table(box=None, pad_edge=False)
    for heading in (_("scenario"), _("seconds"), _("what it shows")):
        table.add_column(heading)
    for path in shipped().values():
        head = load_scenario(path).file.scenario
        table.add_row(head.name, f"{head.length_s:g}", head.title.get(language()[:2], head.title.get("en", "")))
    Console().print(table)


def _load(paths: Iterable[Path], profiles: Path | None) -> list[Scenario]:
    """Load all, or refuse all: every fault of every file is told."""
    loaded: list[Scenario] = []
    lines: list[str] = []
    for path in paths:
        try:
            loaded.append(load_scenario(path, profiles=profiles))
        except ConfigError as error:
            lines += [fault.render(_) for fault in error.faults]
            lines.append(_("{path}: {count} fault(s)").format(path=path, count=len(error.faults)))
    if lines:
        raise fail(lines, status=FAULTY)
    return loaded


def _play_all(scenarios: Sequence[Scenario], wishes: Wishes, jobs: int) -> list[Report]:
    if len(scenarios) == 1:
        return [_player()(scenarios[0], wishes)]
    # A process each: simulated lines keep their timing beside each other.
    with ThreadPoolExecutor(jobs) as pool:
        return list(pool.map(partial(_play_apart, wishes=wishes), scenarios))


def _player() -> Callable[[Scenario, Wishes], Report]:
    """Load what plays scenarios: simulated devices alone need neither the gateway nor the cloud."""
    try:
        player: Callable[[Scenario, Wishes], Report] = import_module("langyan.scenario.play").play_safely
    except ModuleNotFoundError as error:
        text = _("langyan {name} needs {module}, which is not installed. Install it: pip install 'langyan[{extra}]'")
        raise fail([text.format(name="sim run", module=error.name, extra="all")], status=FAILED) from error
    return player


def _play_apart(scenario: Scenario, *, wishes: Wishes) -> Report:
    """Play it in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="langyan-sim-") as folder:
        result = Path(folder) / "report.json"
        words = ["--json", str(result), "--slack", str(wishes.slack)]
        words += ["--keep", str(wishes.keep)] if wishes.keep is not None else []
        words += ["--profiles", str(wishes.profiles)] if wishes.profiles is not None else []
        argv = [sys.executable, "-m", "langyan", "sim", "run", str(scenario.path), *words]
        said = subprocess.run(argv, capture_output=True, text=True, check=False)
        if result.exists():
            return msgspec.json.decode(result.read_bytes(), type=Reports).scenarios[0]
        head = scenario.file.scenario
        return Report(head.name, str(scenario.path), head.seed, error=said.stderr.strip()[-800:])


def _write(reports: Sequence[Report], json_file: Path | None, junit: Path | None) -> None:
    if json_file is not None:
        whole = Reports(all(report.is_good for report in reports), tuple(reports))
        json_file.write_bytes(msgspec.json.format(msgspec.json.encode(whole)) + b"\n")
    if junit is not None:
        junit.write_bytes(to_junit(reports))


def _table(report: Report) -> Table:
    """Draw one scenario: a row for each expectation, and a sentence below."""
    table = Table(title=f"{report.name} ({report.file})", title_justify="left")
    for heading in (_("line"), _("expected"), "", _("what came")):
        table.add_column(heading, overflow="fold")
    for result in report.results:
        mark = f"[green]{_('yes')}[/]" if result.is_met else f"[bold red]{_('NO')}[/]"
        table.add_row(str(result.line or ""), result.expected, mark, result.verdict.render(_))
    if report.error:
        table.caption = report.error
    else:
        text = _("{alarms} alarm events, {readings} readings, {lost} lost, {twice} twice; seed {seed}; {took:.1f} s")
        table.caption = text.format(
            alarms=report.alarms, readings=report.readings, lost=report.lost, twice=report.twice, seed=report.seed,
            took=report.took_s,
        )  # fmt: skip
    return table
