"""`langyan profile`: what devices there are, and the making, checking and trying of a profile."""

import sys
from collections.abc import Iterable
from pathlib import Path

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from device_profiles.catalogue import load_profile, load_profile_file, profile_files
from device_profiles.faults import ConfigError
from device_profiles.model import Profile
from device_profiles.schema import SchemaOf, schema_text
from langyan.commands.common import PROFILES, fail
from langyan.commands.profile_show import print_profile, said
from langyan.commands.profile_try import try_device
from langyan.i18n import translate as _
from langyan.profile_decoding import Refused, decode
from langyan.profile_page import Entry, devices_page, entry_of
from langyan.profile_skeleton import new_profile
from langyan.running import FAILED, FAULTY

app = typer.Typer(no_args_is_help=True)

ID = typer.Argument(..., help=_("Profile id, as `langyan profile list` names it."), metavar="ID")

# Longer than what any device says at once, shorter than what a terminal is patient for.
MAX_INPUT_BYTES = 16 * 1024 * 1024


@app.command("list", help=_("List the profiles there are."))
def list_(
    *,
    kind: str | None = typer.Option(None, "--kind", help=_("Only devices of this kind.")),
    as_json: bool = typer.Option(False, "--json", help=_("As JSON, for programs.")),
    as_markdown: bool = typer.Option(False, "--markdown", help=_("As the page docs/devices.md.")),
    profiles: Path | None = PROFILES,
) -> None:
    """List the profiles."""
    found, faults = _load_all(profiles)
    chosen = [profile for profile in found if kind in (None, profile.kind)]
    if not chosen:
        kinds = ", ".join(sorted({profile.kind for profile in found}))
        raise fail([_("no device of kind {kind}; there are: {kinds}").format(kind=kind, kinds=kinds)], status=FAILED)
    if as_markdown:
        typer.echo(devices_page(chosen), nl=False)
    elif as_json:
        encoded = msgspec.json.encode([entry_of(profile) for profile in chosen])
        typer.echo(msgspec.json.format(encoded, indent=2).decode())
    else:
        _print_list(map(entry_of, chosen))
    if faults:
        raise fail(faults, status=FAULTY)


@app.command(help=_("Show one profile: its link, points, alarms, quirks and sources."))
def show(profile_id: str = ID, *, profiles: Path | None = PROFILES) -> None:
    """Show a profile."""
    print_profile(_load(profile_id, profiles))


@app.command(help=_("Check profile files; lists all faults."))
def check(
    files: list[Path] = typer.Argument(..., help=_("Profile files, <maker>/<model>.toml."), metavar="FILE..."),
) -> None:
    """Check profile files."""
    faults = [fault for file in files for fault in _faults_of(file)]
    if faults:
        raise fail([*faults, _("{count} fault(s)").format(count=len(faults))], status=FAULTY)
    typer.echo(_("{count} file(s) in order").format(count=len(files)))


@app.command(help=_("Write the beginning of a new profile, every key explained; `check` names what is left to fill."))
def new(
    profile_id: str = typer.Argument(..., help=_("Its id: <maker>/<model>, in small letters."), metavar="ID"),
    *,
    into: Path = typer.Option(Path(), "--into", file_okay=False, help=_("Folder for <maker>/<model>.toml.")),
    is_speaking: bool = typer.Option(False, "--speaks", help=_("Of a device that speaks by itself: nobody asks it.")),
) -> None:
    """Write a skeleton."""
    maker, slash, model = profile_id.partition("/")
    if not slash or not all(part and "/" not in part and part not in (".", "..") for part in (maker, model)):
        raise fail([_("{id} is no profile id: <maker>/<model>").format(id=profile_id)], status=FAULTY)
    path = into / maker / f"{model}.toml"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(new_profile(path, is_speaking=is_speaking))
    except FileExistsError as error:
        raise fail([_("{path} is there already; name another file").format(path=path)], status=FAILED) from error
    except OSError as error:
        text = _("{path} cannot be written: {why}").format(path=path, why=error.strerror)
        raise fail([text], status=FAILED) from error
    typer.echo(_("{path} is written; fill it and run: langyan profile check {path}").format(path=path))


app.command("try", help=_("Talk to one real device and print what it says; Ctrl-C ends it."))(try_device)


@app.command("decode", help=_("Say what bytes mean to a profile: one JSON object a line."))
def decode_(
    profile_id: str = ID,
    file: Path | None = typer.Argument(None, help=_("File of raw bytes; without it standard input."), metavar="[FILE]"),
    *,
    as_hex: str | None = typer.Option(None, "--hex", help=_("The bytes, as hexadecimal.")),
    request: str | None = typer.Option(None, "--request", help=_("The request that was answered, as hexadecimal.")),
    profiles: Path | None = PROFILES,
) -> None:
    """Decode bytes; exit status 1 when anything was refused."""
    profile = _load(profile_id, profiles)
    if request is not None and profile.speaks is not None:
        raise fail([_("{id} speaks by itself: there is no request").format(id=profile_id)], status=FAULTY)
    if as_hex is not None and file is not None:
        raise fail([_("bytes come from --hex or from a file, not from both")], status=FAULTY)
    data = _read_bytes(file) if as_hex is None else _from_hex("--hex", as_hex)
    lines = decode(profile, data, request=b"" if request is None else _from_hex("--request", request))
    for line in lines or [Refused("nothing was understood")]:
        typer.echo(msgspec.json.encode(line).decode())
    if not lines or any(isinstance(line, Refused) for line in lines):
        raise typer.Exit(FAILED)


@app.command(help=_("Print the JSON Schema of profiles, for editors."))
def schema(*, of_site: bool = typer.Option(False, "--site", help=_("That of site files instead."))) -> None:
    """Print a schema."""
    typer.echo(schema_text(SchemaOf.SITE if of_site else SchemaOf.PROFILE), nl=False)


def _load(profile_id: str, profiles: Path | None) -> Profile:
    try:
        return load_profile(profile_id, extra=profiles)
    except ConfigError as error:
        raise fail([fault.render(_) for fault in error.faults], status=FAULTY) from error


def _load_all(profiles: Path | None) -> tuple[list[Profile], list[str]]:
    """Load every profile; one that has faults shall not hide the others."""
    found: list[Profile] = []
    faults: list[str] = []
    for _profile_id, file in sorted(profile_files(extra=profiles).items()):
        try:
            found.append(load_profile_file(file))
        except ConfigError as error:
            faults += [fault.render(_) for fault in error.faults]
    return found, faults


def _faults_of(file: Path) -> list[str]:
    try:
        load_profile_file(file)
    except ConfigError as error:
        return [fault.render(_) for fault in error.faults]
    return []


def _print_list(entries: Iterable[Entry]) -> None:
    table = Table(box=None)
    table.add_column(_("profile"), no_wrap=True)
    for heading in (_("kind"), _("speaks"), _("device")):
        table.add_column(heading)
    for entry in entries:
        table.add_row(entry.profile, entry.kind, entry.speaks, said(entry.title))
    Console(highlight=False).print(table)
    typer.echo(_("{count} profiles; langyan profile show ID tells more").format(count=table.row_count))


def _from_hex(option: str, text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        line = _("{option} is not hexadecimal: write 01 04 04 01 31").format(option=option)
        raise fail([line], status=FAULTY) from error


def _read_bytes(file: Path | None) -> bytes:
    """Read a file or standard input, to its end or to the limit."""
    try:
        if file is None:
            data = sys.stdin.buffer.read(MAX_INPUT_BYTES + 1)
        else:
            with file.open("rb") as stream:
                data = stream.read(MAX_INPUT_BYTES + 1)
    except OSError as error:
        raise fail([_("{path} cannot be read: {why}").format(path=file, why=error.strerror)], status=FAILED) from error
    if len(data) > MAX_INPUT_BYTES:
        raise fail([_("more than {size} MiB").format(size=MAX_INPUT_BYTES >> 20)], status=FAILED)
    return data
