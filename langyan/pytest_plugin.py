"""A pytest plugin: the fixture `langyan_site`, a simulated site with a real gateway and a real broker.

    @pytest.mark.langyan_site("site.toml")
    def test_a_press(langyan_site):
        langyan_site.press("gate-buttons", "button_1")
        langyan_site.expect_alarm("panic", device="gate-buttons", within_s=2)

Loaded by pytest wherever langyan is installed, so what it needs is imported when the fixture is used.
"""

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from langyan.scenario.under_test import SiteUnderTest

MARK = "langyan_site"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--langyan-slack`."""
    parser.getgroup("langyan").addoption(
        "--langyan-slack",
        type=float,
        default=1.0,
        metavar="FACTOR",
        help="simulated sites: every wait may take so many times as long, for a slow machine",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line(
        "markers",
        f"{MARK}(site, *, stored=False, profiles=None): the site of the fixture {MARK}: a site file beside the test, "
        "or the text of one; stored runs InfluxDB, ingest and the alarm desk too; profiles is a folder beside the test",
    )


@pytest.fixture
def langyan_site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[SiteUnderTest]":
    """Run the site that the marker `langyan_site` (or an indirect parameter) names, with a gateway and a broker.

    Returns:
        See `langyan.scenario.under_test.SiteUnderTest`.
    """
    given, options = _wish(request)
    # Short, because the gateway's control socket lies below it (unix(7): 107 bytes).
    folder = tmp_path_factory.mktemp("langyan")
    if "\n" in given:
        path = folder / "given.toml"
        path.write_text(given, encoding="utf-8")
    else:
        path = request.path.parent / given
    profiles = options.pop("profiles", None)
    made: Any = import_module("langyan.scenario.under_test").SiteUnderTest
    faulty: Any = import_module("device_profiles.faults").ConfigError
    try:
        site: SiteUnderTest = made(
            path,
            folder,
            slack=request.config.getoption("--langyan-slack"),
            profiles=None if profiles is None else request.path.parent / Path(profiles),
            **options,
        )
    except faulty as error:
        pytest.fail(f"the site has faults:\n{error}", pytrace=False)
    with site:
        yield site


def _wish(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    mark = request.node.get_closest_marker(MARK)
    if mark is not None and len(mark.args) == 1:
        return str(mark.args[0]), dict(mark.kwargs)
    if hasattr(request, "param"):
        return str(request.param), {}
    raise pytest.UsageError(f'{request.node.nodeid}: name its site: @pytest.mark.{MARK}("site.toml")')
