"""The pages say what the code does: examples load, tables name every key, commands and links are there."""

import re
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
import typer.main
from msgspec import NODEFAULT, Meta, Struct

from cloud import keep
from cloud import settings as cloud_settings
from cloud.api import settings as api_settings
from cloud.bikes import settings as bike_settings
from cloud.database import Database, open_database
from cloud.database.tables import metadata
from cloud.desk.core import ClosingCode
from cloud.errors import SettingsError
from cloud.escalation import settings as escalation_settings
from cloud.fire import detection_settings
from cloud.fire import settings as fire_settings
from cloud.grafana import settings as grafana_settings
from cloud.numbers import settings as number_settings
from cloud.orders import settings as order_settings
from cloud.patrols import settings as patrol_settings
from cloud.settings import DatabaseSettings, Settings, load_settings
from cloud.state import settings as state_settings
from cloud.telling import settings as telling_settings
from cloud.trades import settings as trade_settings
from cloud.vehicles import settings as vehicle_settings
from device_profiles import model
from device_profiles import site as site_file
from device_profiles.catalogue import CATALOGUE
from device_profiles.faults import ConfigError
from device_profiles.site_loader import load_site
from device_profiles.speech import layout, topics
from edge.health import BusHealth, Health
from langyan.cli import SUBCOMMANDS, make_app
from simulators import control_messages as say
from simulators.bus import BusCounts
from simulators.control import parse
from simulators.device import Counts
from simulators.errors import SimulatorError

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])

SITE_PAGE = (DOCS / "site-file.md").read_text("utf-8")
PROFILE_PAGE = (DOCS / "profiles.md").read_text("utf-8")
SPEAKING_PAGE = (DOCS / "speaking-profiles.md").read_text("utf-8")
SIMULATOR_PAGE = (DOCS / "simulators.md").read_text("utf-8")
OPERATIONS_PAGE = (DOCS / "operations.md").read_text("utf-8")
ALL_WORDS = "\n".join(page.read_text("utf-8") for page in PAGES)

# Typer's own; they are the same in every program.
COMMON_OPTIONS = {"--help", "--install-completion", "--show-completion"}

# Which table of which page lists the keys of which struct: the first table below the words.
TABLES = [
    (SITE_PAGE, "### `[gateway]`", site_file.Gateway),
    (SITE_PAGE, "### `[uplink]`", site_file.Uplink),
    (SITE_PAGE, "### `[outbox]`", site_file.Outbox),
    (SITE_PAGE, '### `[[bus]]` with `kind = "rtu"`', site_file.RtuBus),
    (SITE_PAGE, '### `[[bus]]` with `kind = "tcp"`', site_file.TcpBus),
    (SITE_PAGE, '### `[[bus]]` with `kind = "rtu_tcp"`', site_file.RtuTcpBus),
    (SITE_PAGE, '### `[[bus]]` with `kind = "serial"`', site_file.SerialBus),
    (SITE_PAGE, '### `[[bus]]` with `kind = "tcp_client"`', site_file.TcpClientBus),
    (SITE_PAGE, '### `[[bus]]` with `kind = "tcp_server"`', site_file.TcpServerBus),
    (SITE_PAGE, '### `[[bus]]` with `kind = "udp"`', site_file.UdpBus),
    (SITE_PAGE, '### `[[bus]]` with `kind = "mqtt"`', site_file.MqttBus),
    (SITE_PAGE, "### `[[device]]`", site_file.Device),
    (SITE_PAGE, "### `[device.simulate]`", site_file.DeviceSimulation),
    (PROFILE_PAGE, "### The profile itself", model.Profile),
    (PROFILE_PAGE, "### `[link]`", model.Link),
    (PROFILE_PAGE, "### `[[point]]`", model.PointDef),
    (PROFILE_PAGE, "### `bits` of a point", model.BitField),
    (PROFILE_PAGE, "### `simulate` of a point", model.Simulation),
    (PROFILE_PAGE, "### `[[block]]`", model.BlockDef),
    (PROFILE_PAGE, '### `[[rule]]` with `rule = "contact"`', model.ContactRule),
    (PROFILE_PAGE, '### `[[rule]]` with `rule = "threshold"`', model.ThresholdRule),
    (PROFILE_PAGE, '### `[[rule]]` with `rule = "rate"`', model.RateRule),
    (PROFILE_PAGE, '### `[[rule]]` with `rule = "bits"`', model.BitsRule),
    (PROFILE_PAGE, "### `[[rule.flag]]`", model.Flag),
    (PROFILE_PAGE, '### `[[rule]]` with `rule = "stuck"`', model.StuckRule),
    (PROFILE_PAGE, '### `[[rule]]` with `rule = "missing"`', model.MissingRule),
    (PROFILE_PAGE, '### `[[rule]]` with `rule = "combination"`', model.CombinationRule),
    (PROFILE_PAGE, "### `polls` of a rule", model.Polls),
    (PROFILE_PAGE, "### `action` of a rule", model.LocalAction),
    (SITE_PAGE, "### `[[drill]]`", site_file.Drill),
    (SITE_PAGE, "### `[presence]`", site_file.PresenceSettings),
    (SITE_PAGE, "### `[[presence.station]]`", site_file.Station),
    (SITE_PAGE, "### `[[presence.tag]]`", site_file.KnownTag),
    (SITE_PAGE, "### `[[presence.arming]]`", site_file.Arming),
    (PROFILE_PAGE, "### `[[capture]]`", model.Capture),
    (PROFILE_PAGE, "### `[[caveat]]`", model.Caveat),
    (SPEAKING_PAGE, "### `[speaks]`", model.Speaks),
    (SPEAKING_PAGE, "### `[[heard]]`", model.HeardDef),
    (SPEAKING_PAGE, '### `[speaks.frame]` with `kind = "delimited"`', layout.DelimitedFrame),
    (SPEAKING_PAGE, '### `[speaks.frame]` with `kind = "counted"`', layout.CountedFrame),
    (SPEAKING_PAGE, '### `[speaks.frame]` with `kind = "fixed"`', layout.FixedFrame),
    (SPEAKING_PAGE, "### `escape` of a frame", layout.Escape),
    (SPEAKING_PAGE, "### `checksum` of a frame", layout.Checksum),
    (SPEAKING_PAGE, "### `[[speaks.message]]`", layout.Message),
    (SPEAKING_PAGE, "### `where` of a message", layout.Match),
    (SPEAKING_PAGE, "### `[[speaks.message.field]]`", layout.Field),
    (SPEAKING_PAGE, "### `chars` and `bits` of a field", layout.Part),
    (SPEAKING_PAGE, "### `[[speaks.message.report]]`", layout.ReportDef),
    (SPEAKING_PAGE, "### `sighting` of a message", layout.SightingDef),
    (SPEAKING_PAGE, "### `reports` of a capture", layout.ToldReport),
    (SPEAKING_PAGE, "### `sightings` of a capture", layout.ToldSighting),
    (PROFILE_PAGE, "### `[[speaks.topic]]`", topics.Topic),
    (PROFILE_PAGE, "### `[[speaks.topic.value]]`", topics.TopicValue),
    (PROFILE_PAGE, "### `[[speaks.topic.report]]`", topics.TopicReport),
    (OPERATIONS_PAGE, "### `[mqtt]`", cloud_settings.Mqtt),
    (OPERATIONS_PAGE, "### `[influx]`", cloud_settings._Influx),
    (OPERATIONS_PAGE, "### `[keep]`", keep.Keep),
    (OPERATIONS_PAGE, "### `[database]`", DatabaseSettings),
    (OPERATIONS_PAGE, "### `[desk]`", cloud_settings.Desk),
    (OPERATIONS_PAGE, "### `[api]`", api_settings.Api),
    (OPERATIONS_PAGE, "### `[numbers]`", number_settings.Numbers),
    (OPERATIONS_PAGE, "### `[trades]`", trade_settings.Trades),
    (OPERATIONS_PAGE, "### `[vehicles]`", vehicle_settings.Vehicles),
    (OPERATIONS_PAGE, "### `[fire]`", fire_settings.Fire),
    (OPERATIONS_PAGE, "### `[bikes]`", bike_settings.Bikes),
    (OPERATIONS_PAGE, "### `[orders]`", order_settings.Orders),
    (OPERATIONS_PAGE, "### `[state]`", state_settings.State),
    (OPERATIONS_PAGE, "### `[patrols]`", patrol_settings.Patrols),
    (OPERATIONS_PAGE, "### `[telling]`", telling_settings.Telling),
    (OPERATIONS_PAGE, "### `[[telling.channel]]`", telling_settings.Channel),
    (OPERATIONS_PAGE, "### `[[telling.webhook]]`", telling_settings.WebHook),
    (OPERATIONS_PAGE, "### `[escalation]`", escalation_settings.Escalation),
    (OPERATIONS_PAGE, "### `[[escalation.fallback]]`", escalation_settings.Fallback),
    (OPERATIONS_PAGE, "### `[fire.detection]`", detection_settings.Detection),
    (OPERATIONS_PAGE, "### `[grafana]`", grafana_settings.Grafana),
    (OPERATIONS_PAGE, "### `[gateways.<id>]`", cloud_settings.Registered),
]
ROOTS = [(SITE_PAGE, site_file.SiteFile), (PROFILE_PAGE + SPEAKING_PAGE, model.Profile), (OPERATIONS_PAGE, Settings)]


def blocks(page: str, language: str) -> list[str]:
    fences = re.findall(r"^```(\w*)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    return [text for name, text in fences if name == language]


def table_below(page: str, words: str) -> dict[str, str]:
    """Rows of the first table below `words` (a whole line), by the key in backticks that they begin with."""
    _, found, below = page.partition(f"\n{words}\n")
    assert found, f"no line {words!r}"
    rows: dict[str, str] = {}
    for line in below.splitlines():
        if line.startswith("| `"):
            rows[line.split("`")[1]] = line
        elif line.startswith("#") or (rows and not line.startswith("|")):
            break
    return rows


def structs_in(wanted: Any) -> Iterator[type[Struct]]:
    """Every struct of a type and, through its fields, all below it."""
    if isinstance(wanted, type) and issubclass(wanted, Struct):
        yield wanted
        for field in msgspec.structs.fields(wanted):
            yield from structs_in(field.type)
    for part in get_args(wanted):
        yield from structs_in(part)


def keys_of(struct: type[Struct]) -> set[str]:
    tag_field = struct.__struct_config__.tag_field
    return {field.encode_name for field in msgspec.structs.fields(struct)} | ({tag_field} if tag_field else set())


def bounds(wanted: Any) -> Iterator[float]:
    for part in get_args(wanted):
        if isinstance(part, Meta):
            yield from (bound for bound in (part.ge, part.gt, part.le, part.lt) if bound is not None)
        else:
            yield from bounds(part)


def written(default: object) -> str | None:
    """Write a default as the tables do; None for what they describe in words."""
    if default is None:
        return "none"
    if isinstance(default, Enum):
        return f'`"{default.value}"`'
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    if isinstance(default, str):
        return f'`"{default}"`'
    if isinstance(default, int | float):
        return f"`{default:g}`" if default < 1e6 else f"`{default:.0f}`"
    return "empty" if default in ((), {}) else None


@pytest.mark.parametrize(("page", "words", "struct"), TABLES, ids=[words for _, words, _ in TABLES])
def test_a_table_has_every_key_with_its_default_and_limits(page: str, words: str, struct: type[Struct]) -> None:
    rows = table_below(page, words)
    assert rows.keys() >= keys_of(struct)
    for field in msgspec.structs.fields(struct):
        row = rows[field.encode_name]
        cells = [cell.strip() for cell in row.split("|")]
        default = field.default
        if field.default_factory is not NODEFAULT:
            default = field.default_factory()
        if field.required:
            assert cells[3] == "required", row
        elif (text := written(default)) is not None:
            assert cells[3] == text, row
        for bound in bounds(field.type):
            assert re.search(rf"(?<![\d.]){re.escape(f'{bound:.12g}')}(?![\d])", cells[4]) or bound == 0, row


@pytest.mark.parametrize(("page", "words", "struct"), TABLES, ids=[words for _, words, _ in TABLES])
def test_a_table_has_no_key_that_is_gone(page: str, words: str, struct: type[Struct]) -> None:
    assert table_below(page, words).keys() <= keys_of(struct) | {"auth"}


@pytest.mark.parametrize(("page", "root"), ROOTS, ids=[root.__name__ for _, root in ROOTS])
def test_every_key_of_a_file_is_named_on_its_page(page: str, root: type[Struct]) -> None:
    keys = {key for struct in structs_in(root) for key in keys_of(struct)}
    assert {key for key in keys if not re.search(rf"`[^`\n]*\b{key}\b[^`\n]*`", page)} == set()


def test_the_example_of_a_site_is_in_order_and_stands_on_its_page() -> None:
    path = EXAMPLES / "school.toml"
    site = load_site(path)
    assert {bus.id for bus in site.file.bus} == set(site.devices)
    assert all(site.devices.values()), "every bus has a device"
    assert path.read_text("utf-8") in blocks(SITE_PAGE, "toml")


def test_the_example_of_settings_is_in_order_and_stands_on_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    path = EXAMPLES / "cloud.toml"
    for variable in re.findall(r'_env = "(\w+)"', path.read_text("utf-8")):
        monkeypatch.setenv(variable, "x")
    settings = load_settings(path)
    assert settings.gateways is not None
    assert load_site(EXAMPLES / "school.toml").file.gateway.id in settings.gateways
    assert path.read_text("utf-8") in blocks(OPERATIONS_PAGE, "toml")


def test_the_example_of_a_profile_is_the_one_in_the_catalogue() -> None:
    assert (CATALOGUE / "generic" / "xy-md02.toml").read_text("utf-8") in blocks(PROFILE_PAGE, "toml")


def test_the_site_for_the_workbench_is_in_order(tmp_path: Path) -> None:
    (tmp_path / "bench.toml").write_text(blocks(SIMULATOR_PAGE, "toml")[0], "utf-8")
    site = load_site(tmp_path / "bench.toml")
    assert any(placed.device.simulate.count_in for devices in site.devices.values() for placed in devices)


def test_the_faults_shown_are_what_the_check_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("site.toml")
    (broken,) = [block for block in blocks(SITE_PAGE, "toml") if '"school 17"' in block]
    (shown,) = [block for block in blocks(SITE_PAGE, "") if block.startswith("site.toml:2:")]
    path.write_text(broken, "utf-8")
    with pytest.raises(ConfigError) as caught:
        load_site(path)
    count = len(caught.value.faults)
    assert [*map(str, caught.value.faults), f"site.toml: {count} fault(s)"] == shown.splitlines()


@pytest.mark.parametrize(
    "text",
    ['[mqtt]\nhots = "x"', "[desk]\nlate_after_s = -1",
     '[influx]\nversion = 2\nbucket = "b"\nauth = { kind = "token", token_env = "NOPE" }'],
)  # fmt: skip
def test_the_faults_of_settings_shown_are_what_is_said(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NOPE", raising=False)
    path = Path("cloud.toml")
    path.write_text(text, "utf-8")
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert str(caught.value) in OPERATIONS_PAGE.splitlines()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with open_database(DatabaseSettings(url=f"sqlite:///{tmp_path / 'cloud.db'}")) as opened:
        yield opened


@pytest.mark.parametrize("query", blocks(OPERATIONS_PAGE, "sql"))
def test_a_query_shown_runs(query: str, database: Database) -> None:
    with database.transaction() as connection:
        assert connection.exec_driver_sql(query).fetchall() == []


@pytest.mark.parametrize("table", metadata.tables)
def test_every_table_of_the_database_is_described(table: str) -> None:
    assert f"| `{table}` |" in OPERATIONS_PAGE


@pytest.mark.parametrize("code", ClosingCode)
def test_every_closing_code_is_explained(code: ClosingCode) -> None:
    assert f"| `{code.value}` |" in OPERATIONS_PAGE


def test_every_counter_of_a_gateway_is_named() -> None:
    samples = Health({"line": BusHealth()}).samples(1)
    assert {point.key for sample in samples for point in sample.points if f"`{point.key}`" not in SITE_PAGE} == set()


@pytest.mark.parametrize("struct", [Counts, BusCounts])
def test_every_count_of_a_simulator_is_explained(struct: type[Struct]) -> None:
    assert {key for key in keys_of(struct) if f"`{key}`" not in SIMULATOR_PAGE} == set()


@pytest.mark.parametrize("op", get_args(say.Op), ids=lambda op: str(op.__struct_config__.tag))
def test_every_request_of_the_control_channel_is_explained(op: type[Struct]) -> None:
    tag = str(op.__struct_config__.tag)
    _, _, section = SIMULATOR_PAGE.partition("## The control channel")
    (row,) = [line for line in section.splitlines() if re.match(rf"\| [^|]*`{tag}`[^|]*\|", line)]
    assert {key for key in keys_of(op) - {"op"} if f"`{key}`" not in row} == set()


def test_the_talk_shown_is_one_that_the_control_channel_has() -> None:
    lines = [line for block in blocks(SIMULATOR_PAGE, "") for line in block.splitlines() if line.startswith("{")]
    good, bad = (line for line in lines if line.startswith('{"op"'))
    assert parse(good.encode()) == say.Push("buttons", "button_1", 1.0)
    with pytest.raises(SimulatorError) as caught:
        parse(bad.encode())
    assert msgspec.json.encode(say.Failed(str(caught.value))).decode() in lines


def commands() -> Iterator[tuple[str, set[str]]]:
    """Every command line there is, `langyan sim press`, with its options."""
    for name in SUBCOMMANDS:
        whole: Any = typer.main.get_command(make_app([name]))
        yield "langyan", options_of(whole)
        yield from _commands_below(whole.commands[name], f"langyan {name}")


def _commands_below(command: Any, path: str) -> Iterator[tuple[str, set[str]]]:
    yield path, options_of(command)
    loaded = {name: command.load(name) for name in getattr(command, "later", ())}
    for name, below in (getattr(command, "commands", {}) | loaded).items():
        yield from _commands_below(below, f"{path} {name}")


def options_of(command: Any) -> set[str]:
    words = {word for param in command.params for word in (*param.opts, *param.secondary_opts)}
    return {word for word in words if word.startswith("-")} - COMMON_OPTIONS


@pytest.mark.parametrize(("command", "options"), [*commands()])
def test_a_command_and_its_options_are_described(command: str, options: set[str]) -> None:
    assert re.search(rf"{command}(?![\w-])", ALL_WORDS), command
    assert {option for option in options if not re.search(rf"(?<![\w-]){option}(?![\w-])", ALL_WORDS)} == set()


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    plain = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#+ +(.*?)\s*$", plain, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for target in re.findall(r"\]\(([^()\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in headings(path), f"{page.name}: {target}"
