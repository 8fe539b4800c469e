"""Loads a scenario file with the sites it names: every fault of all of them at once, or a scenario that can be run."""

import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from device_profiles.faults import N_, ConfigError, Fault, shown
from device_profiles.site import Site
from device_profiles.site_loader import load_site
from device_profiles.strict import read_fields
from device_profiles.toml_file import Place, TomlFile
from simulators.scenario import expecting, model
from simulators.scenario.checks import (
    Checker,
    check_cloud,
    check_head,
    check_signals,
    driven,
    is_tag_drive,
    part_for,
)
from simulators.scenario.times import parse_time, story_second
from simulators.scenario.world import PlayedSite, Who, World
from simulators.signals.signal import Signal

SHIPPED = Path(__file__).parent.parent / "scenarios"
"""Scenarios that come with the package."""
SETTINGS_FILE = "cloud.toml"
"""Settings of the run's cloud, in the folder in which commands run."""


class Driven(Struct, frozen=True):
    """One point that follows a part of a signal."""

    who: Who
    point: str
    signal: str
    part: str
    at_m: tuple[float, float]


class Step(Struct, frozen=True):
    """Something that happens (or ends): `number` counts `[[at]]` from 0, `t_s` is seconds of the clock."""

    t_s: float
    number: int
    action: model.Action
    is_end: bool = False


class Scenario(Struct, frozen=True):
    """A checked scenario: every name found.

    Attributes:
        path: the file.
        file: as written.
        world: its sites.
        steps: what happens, in order of time.
        driven: the points that follow signals.
        signals: by id.
        events: by the id of an `[[at]]` its number and False; by `<id>.end`, where it lasts, its number and True.
        files: what commands read, by name.
        lines: for each `[[expect]]` the line it stands on, where that could be told.
    """

    path: Path
    file: model.ScenarioFile
    world: World
    steps: tuple[Step, ...]
    driven: tuple[Driven, ...]
    signals: Mapping[str, Signal]
    events: Mapping[str, tuple[int, bool]]
    files: Mapping[str, str]
    lines: tuple[int | None, ...]

    @property
    def begins_s(self) -> float:
        """The story's time of day at the beginning, seconds since midnight."""
        return parse_time(self.file.scenario.begins) or 0.0


def shipped() -> dict[str, Path]:
    """List the scenarios that come with the package, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}


def load_scenario(path: Path, *, profiles: Path | None = None) -> Scenario:
    """Load and check a scenario with its sites.

    Args:
        path: the file.
        profiles: folder with profiles of one's own.

    Raises:
        ConfigError: lists every fault of the scenario, then every fault of the sites it names.
    """
    toml = TomlFile.read(path)
    fields = read_fields(toml, model.ScenarioFile)
    head: model.Head | None = fields.get("scenario")
    if head is None:
        # Nothing can be said of times without it; what a fault hides is said the next time.
        toml.raise_faults()
        raise ConfigError(toml.faults)
    sites, others = _load_sites(toml, fields.get("site", ()), path.parent, profiles)
    world = World(sites)
    actions: tuple[model.Action, ...] = fields.get("at", ())
    signals: dict[str, Signal] = {signal.id: signal for signal in fields.get("signal", ())}
    drives: tuple[model.Drive, ...] = fields.get("drive", ())
    expectations: tuple[expecting.Expectation, ...] = fields.get("expect", ())
    files = dict(_read_files(toml, fields.get("file", ()), path.parent))
    check_head(toml, head)
    check_cloud(toml, head, fields)
    check_signals(toml, fields.get("signal", ()))
    if not others and toml.is_clean(("site",)):
        # Against sites that could not be read everything would look wrong.
        checker = Checker(toml, head, world, events=list(_events(actions)))
        checker.drives(drives, signals)
        checker.actions(actions)
        checker.expectations(expectations)
    if not expectations and toml.is_clean(("expect",)):
        toml.fault(("expect",), N_("is empty: a scenario that expects nothing shows nothing"))
    toml.raise_faults(others=others)
    return Scenario(
        path=path,
        file=model.ScenarioFile(**fields),
        world=world,
        steps=tuple(sorted(_steps(actions, head), key=lambda step: step.t_s)),
        driven=tuple(one for drive in drives for one in _driven(drive, world, signals)),
        signals=signals,
        events=_events(actions),
        files=files,
        lines=tuple(toml.line_of(toml.place_of(expected)) for expected in expectations),
    )


def _events(actions: Iterable[model.Action]) -> dict[str, tuple[int, bool]]:
    found: dict[str, tuple[int, bool]] = {}
    for number, action in enumerate(actions):
        if action.id is not None:
            found[action.id] = (number, False)
            if _ends(action):
                found[f"{action.id}.end"] = (number, True)
    return found


def _ends(action: model.Action) -> bool:
    # A flood ends by itself.
    return getattr(action, "for_s", None) is not None and not isinstance(action, model.Flood)


def _steps(actions: Iterable[model.Action], head: model.Head) -> Iterable[Step]:
    for number, action in enumerate(actions):
        t_s = story_second(action.t, head) or 0.0
        yield Step(t_s, number, action)
        if _ends(action):
            yield Step(t_s + getattr(action, "for_s", 0.0), number, action, is_end=True)


def _driven(drive: model.Drive, world: World, signals: Mapping[str, Signal]) -> Iterable[Driven]:
    (who,) = world.devices(drive.device)
    signal = signals[drive.signal]
    if is_tag_drive(drive, signal, world, who):
        yield Driven(who, f"tag-{signal.id}", drive.signal, "rssi", drive.at_m)
        yield Driven(who, f"tag-{signal.id}.moving", drive.signal, "moving", drive.at_m)
        return
    parts = driven(drive, signal, world.points(who))
    if drive.point is not None:
        parts = {drive.point: drive.part or part_for(drive.point, signal) or drive.point}
    counting = world.number_of(who)
    for point, part in parts.items():
        if point != counting:
            yield Driven(who, point, drive.signal, part, drive.at_m)


def _load_sites(
    toml: TomlFile, refs: Iterable[model.SiteRef], folder: Path, profiles: Path | None
) -> tuple[dict[str, PlayedSite], list[Fault]]:
    """Load each site; its faults are its own, but those of one that is written here are the scenario's."""
    found: dict[str, PlayedSite] = {}
    others: list[Fault] = []
    for ref in refs:
        place = toml.place_of(ref)
        if (ref.file is None) == (ref.toml is None):
            toml.fault((*place, "file"), N_("give exactly one of file and toml"))
            continue
        try:
            if ref.toml is None:
                path = folder / str(ref.file)
                data, site = TomlFile.read(path).data, load_site(path, profiles=profiles)
            else:
                data, site = _load_inline(toml, (*place, "toml"), ref.toml, profiles)
        except ConfigError as error:
            others.extend(error.faults)
            continue
        gateway = ref.gateway or site.file.gateway.id
        if gateway in found:
            text = N_("gateway {gateway} is there twice; give each site an id of its own with `gateway`")
            toml.fault((*place, "gateway"), text, gateway=shown(gateway))
        found[gateway] = PlayedSite(gateway, data, site)
    if not found and not others and toml.is_clean(("site",)):
        toml.fault(("site",), N_("is empty: a scenario has at least one site"))
    # One file may stand for several sites.
    return found, list({(fault.file, fault.key, fault.text): fault for fault in others}.values())


def _read_files(toml: TomlFile, refs: Iterable[model.FileRef], folder: Path) -> Iterable[tuple[str, str]]:
    """Read what is given to commands, or note why it cannot be."""
    taken = {SETTINGS_FILE}
    for ref in refs:
        place = toml.place_of(ref)
        if (ref.file is None) == (ref.text is None):
            toml.fault((*place, "file"), N_("give exactly one of file and text"))
            continue
        if ref.name in taken:
            toml.fault((*place, "name"), N_("{name} is taken"), name=shown(ref.name))
        taken.add(ref.name)
        try:
            yield ref.name, (folder / str(ref.file)).read_text("utf-8") if ref.text is None else ref.text
        except (OSError, UnicodeDecodeError) as error:
            toml.fault((*place, "file"), N_("cannot be read: {why}"), why=str(error))


def _load_inline(toml: TomlFile, place: Place, text: str, profiles: Path | None) -> tuple[dict[str, object], Site]:
    with tempfile.TemporaryDirectory(prefix="langyan-site-") as folder:
        path = Path(folder) / "site.toml"
        path.write_text(text, encoding="utf-8")
        try:
            return TomlFile.read(path).data, load_site(path, profiles=profiles)
        except ConfigError as error:
            # Its text begins on the line after the key's three quotes.
            before = toml.line_of(place) or 0
            raise ConfigError(
                replace(
                    fault,
                    file=toml.file,
                    key=f"{toml.name_of(place)}: {fault.key}",
                    line=None if fault.line is None else before + fault.line,
                )
                if fault.file == str(path)
                else fault
                for fault in error.faults
            ) from error
