"""The pytest plugin in somebody else's project: a folder with a test and a site file, and a pytest of its own."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import langyan.pytest_plugin
from tests.scenarios.rig import SITE
from tests.test_docs import blocks

pytestmark = pytest.mark.timeout(240)

TESTS = """
import pytest

pytestmark = pytest.mark.langyan_site("site.toml")


def test_a_press_raises_an_alarm_and_a_release_ends_it(langyan_site):
    langyan_site.press("buttons", "button_1")
    event = langyan_site.expect_alarm("panic", device="buttons", severity="critical", mode="live")
    assert event.point == "button_1"
    langyan_site.release("buttons", "button_1")
    langyan_site.expect_cleared("panic", device="buttons")
    langyan_site.expect_no_alarm(for_s=0.2)
    langyan_site.set_mode("drill", for_s=60)
    langyan_site.press("buttons", "button_1", for_s=0.3)
    langyan_site.expect_alarm("panic", mode="drill")
    langyan_site.expect_reading("buttons", "button_1", lambda value: value is True)
    assert False in langyan_site.readings("buttons", "button_1")
    assert len(langyan_site.alarms()) >= 3


@pytest.mark.xfail(raises=AssertionError, strict=True)
def test_what_does_not_come_is_an_assertion(langyan_site):
    langyan_site.expect_alarm("panic", within_s=0.1)
"""

FAULTY = '''
import pytest

SITE = """
[gateway]
id = "no good id"
site = "x"
"""


@pytest.mark.langyan_site(SITE)
def test_a_site_with_faults(langyan_site):
    pass


def test_no_site(langyan_site):
    pass
'''


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_theirs.py").write_text(text, "utf-8")
    (folder / "site.toml").write_text(SITE.format(gateway="gw"), "utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", "utf-8")
    argv = [sys.executable, "-m", "pytest", "-p", "langyan.pytest_plugin", "-q", "-rA", "--langyan-slack", "5",
            "-p", "no:cacheprovider", "--strict-markers", str(folder)]  # fmt: skip
    # From another folder: the package is found because it is installed, not because one stands in it.
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=200, cwd=folder)


def test_it_drives_a_site(tmp_path: Path) -> None:
    said = run(tmp_path, TESTS)
    assert said.returncode == 0, said.stdout
    assert "1 passed, 1 xfailed" in said.stdout


def test_pytest_finds_it_where_langyan_is_installed() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]
    # One name for both ways to load it: twice under two names would be refused.
    assert project["entry-points"]["pytest11"] == {langyan.pytest_plugin.__name__: langyan.pytest_plugin.__name__}


def test_the_example_of_the_page_runs(tmp_path: Path) -> None:
    docs = Path(__file__).parents[2] / "docs"
    (example,) = blocks((docs / "simulators.md").read_text("utf-8"), "python")
    (tmp_path / "school.toml").write_text((docs / "examples" / "school.toml").read_text("utf-8"), "utf-8")
    said = run(tmp_path, example)
    assert said.returncode == 0, said.stdout
    assert "2 passed" in said.stdout


def test_a_site_with_faults_or_none_is_said(tmp_path: Path) -> None:
    said = run(tmp_path, FAULTY)
    assert said.returncode == 1
    assert "the site has faults" in said.stdout
    assert "is no id" in said.stdout
    assert "name its site" in said.stdout
