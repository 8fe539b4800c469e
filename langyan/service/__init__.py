"""The systemd service of a gateway: its unit, filled in for one site. Pure."""

from importlib import resources
from pathlib import Path
from string import Template

STATE_FOLDER = Path("/var/lib/langyan")
UNIT_PATH = Path("etc/systemd/system/langyan-edge.service")


def make_unit(*, command: Path, site: Path, outbox: Path) -> str:
    """Write the unit.

    Args:
        command: the `langyan` to run, absolute.
        site: the site file, absolute.
        outbox: the outbox's path; its folder is made writable when it is not the service's own.
    """
    template = Template(resources.files(__name__).joinpath("langyan-edge.service").read_text("utf-8"))
    is_own = outbox.is_relative_to(STATE_FOLDER)
    writable = "" if is_own else f"ReadWritePaths={_quote(outbox.parent)}\n"
    words = {
        "command": _quote(command),
        # What follows the command, unlike the command, may hold variables.
        "site": _quote(site).replace("$", "$$"),
        "writable": writable,
    }
    return template.substitute(words)


def _quote(path: Path) -> str:
    """Write a path as systemd reads it: % begins a specifier, and a blank parts words."""
    text = str(path).replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"' if set(text) & set(" \t'\"") else text
