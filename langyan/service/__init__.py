"""The systemd service of a gateway: its unit, filled in for one site. Pure."""

from importlib import resources
from pathlib import Path
from string import Template

STATE_FOLDER = Path("/var/lib/langyan")
UNIT_PATH = Path("etc/systemd/system/langyan-edge.service")


def make_unit(*, command: Path, site: Path, outbox: Path, profiles: Path | None = None) -> str:
    """Write the unit.

    Args:
        command: the `langyan` to run, absolute.
        site: the site file, absolute.
        outbox: the outbox's path; its folder is made writable when it is not the service's own.
        profiles: folder with profiles of one's own, absolute.
    """
    template = Template(resources.files(__name__).joinpath("langyan-edge.service").read_text("utf-8"))
    is_own = outbox.is_relative_to(STATE_FOLDER)
    writable = "" if is_own else f"ReadWritePaths={_quote(str(outbox.parent))}\n"
    arguments = [str(site)] if profiles is None else [str(site), "--profiles", str(profiles)]
    words = {
        "command": _quote(str(command)),
        "arguments": " ".join(map(_argument, arguments)),
        "writable": writable,
    }
    return template.substitute(words)


def _quote(word: str) -> str:
    """Write a word as systemd reads it: % begins a specifier, and a blank parts words."""
    text = word.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"' if set(text) & set(" \t'\"") else text


def _argument(word: str) -> str:
    """Write what follows the command, which unlike the command may hold variables."""
    return _quote(word).replace("$", "$$")
