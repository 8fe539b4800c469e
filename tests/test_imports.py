"""What a program loads: a gateway has 1 GiB and an SD card, and must start without the cloud's libraries."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from langyan.cli import SUBCOMMANDS

ROOT = Path(__file__).parent.parent
CLOUD_ONLY = {"cloud", "simulators", "sqlalchemy", "alembic", "fastapi", "influxdb_client", "aiohttp"}


def loaded_by(code: str) -> set[str]:
    """Run `code` in a fresh interpreter; the top names of all modules it has loaded at its end."""
    report = "import atexit, json, sys\natexit.register(lambda: print('\\n' + json.dumps(sorted(sys.modules))))\n"
    run = subprocess.run(
        [sys.executable, "-c", report + code], capture_output=True, text=True, cwd=ROOT, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    return {name.partition(".")[0] for name in json.loads(run.stdout.splitlines()[-1])}


def command(*words: str) -> str:
    return f"import sys\nsys.argv = {['langyan', *words]!r}\nfrom langyan.entry import main\nmain()\n"


def test_the_contract_needs_nothing_but_msgspec() -> None:
    modules = sorted(path.stem for path in (ROOT / "contract").glob("*.py") if path.stem != "__init__")
    loaded = loaded_by("\n".join(f"import contract.{name}" for name in modules))
    bare = loaded_by("")
    third_party = {name for name in loaded - bare if name not in sys.stdlib_module_names}
    # msgspec itself takes typing_extensions where that is installed.
    assert third_party - {"typing_extensions"} == {"contract", "msgspec"}


def test_help_loads_neither_the_gateway_nor_the_cloud() -> None:
    assert loaded_by(command("--help")) & (CLOUD_ONLY | {"edge", "pymodbus", "aiomqtt", "anyio"}) == set()


@pytest.mark.parametrize("name", sorted(SUBCOMMANDS))
def test_a_command_can_be_imported_first(name: str) -> None:
    """Two modules that import each other only show in the order in which they are imported."""
    loaded_by(command(name, "--help"))


def test_the_gateway_loads_nothing_of_the_cloud() -> None:
    loaded = loaded_by(command("edge", "--help"))
    assert loaded & CLOUD_ONLY == set()


def test_the_cloud_loads_nothing_of_the_gateway() -> None:
    assert loaded_by(command("cloud", "--help")) & {"edge", "simulators", "pymodbus", "serial"} == set()


def test_a_running_gateway_carries_no_command_line(tmp_path: Path) -> None:
    (tmp_path / "site.toml").write_text("not a site")
    code = command("edge", "run", str(tmp_path / "site.toml")).replace(
        "main()", "\ntry: main()\nexcept SystemExit: pass"
    )
    assert loaded_by(code) & {"typer", "rich", "click", "pymodbus", "serial"} == set()
