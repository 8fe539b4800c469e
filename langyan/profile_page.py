"""The catalogue as lists: for the terminal, for programs, and as the page docs/devices.md. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from msgspec import Struct

from device_profiles.model import BitsRule, Capture, Link, Profile, Speaks, Transport

HEADING = """# Devices

Every device that the catalogue knows, written by `scripts/generate` from the profiles themselves
(`langyan profile list --markdown`). To add one, write [a profile](profiles.md).

What proves a profile: **printed** frames are the maker's, from a manual, or a real device's, from a log. **Composed**
ones were put together by hand from a register list and prove nothing about the device. *Tried on* names real hardware
that the profile ran on; where it says nobody, the profile has met no device yet, whatever its frames are. Quirks of a
device, and the source of every single point: `langyan profile show ID`, or the file.
"""

_NOBODY = "nobody"
_COMPOSED = "composed by hand"


class Entry(Struct, frozen=True):
    """One profile in a list.

    Attributes:
        speaks: transports of a device that is asked, the language of one that speaks by itself.
        is_speaking: it speaks by itself.
        link: what carries it, and at which settings.
        points: keys.
        alarms: kinds, each once.
        printed, composed: how many captures are a maker's or a device's, and how many were put together by hand.
    """

    profile: str
    version: str
    maker: str
    model: str
    title: dict[str, str]
    kind: str
    speaks: str
    is_speaking: bool
    link: str
    points: tuple[str, ...]
    alarms: tuple[str, ...]
    printed: int
    composed: int
    sources: tuple[str, ...]
    tested_on: tuple[str, ...]


def entry_of(profile: Profile) -> Entry:
    """Put a profile into a list."""
    composed = sum(is_composed(capture) for capture in profile.capture)
    return Entry(
        profile=profile.profile, version=profile.version, maker=profile.maker, model=profile.model,
        title=profile.title, kind=profile.kind, speaks=_speaks(profile),
        is_speaking=profile.speaks is not None, link=link_words(profile),
        points=tuple(point.key for point in profile.points), alarms=alarm_kinds(profile),
        printed=len(profile.capture) - composed, composed=composed, sources=profile.sources,
        tested_on=profile.tested_on,
    )  # fmt: skip


def is_composed(capture: Capture) -> bool:
    """Tell whether the bytes were put together by hand, as the capture's source then says."""
    return _COMPOSED in capture.source.casefold()


def alarm_kinds(profile: Profile) -> tuple[str, ...]:
    """The kinds of alarm that the profile's rules raise, and those the device says by itself, each once, sorted."""
    kinds = {rule.alarm for rule in profile.rule}
    for rule in profile.rule:
        if isinstance(rule, BitsRule):
            kinds |= {flag.alarm for flag in rule.flag if flag.alarm is not None}
    for message in profile.speaks.message if profile.speaks else ():
        kinds |= {report.alarm for report in message.report}
    return tuple(sorted(kinds))


def link_words(profile: Profile) -> str:
    """Say what carries a device: `RTU 9600 8N1, unit 1`."""
    return _asked_words(profile.link) if profile.speaks is None else _spoken_words(profile.speaks)


def _speaks(profile: Profile) -> str:
    if profile.speaks is not None:
        return profile.speaks.language.value
    return ", ".join(transport.value for transport in profile.link.transports)


def _asked_words(link: Link) -> str:
    ways = {Transport.RTU: f"RTU {link.baud} 8{link.parity.value}{link.stop_bits}", Transport.TCP: f"TCP {link.port}"}
    return f"Modbus {' or '.join(ways[transport] for transport in link.transports)}, unit {link.unit}"


def _spoken_words(speaks: Speaks) -> str:
    over = ", ".join(carrier.value for carrier in speaks.carriers)
    return f"speaks {speaks.language.value} over {over}"


def devices_page(profiles: Iterable[Profile]) -> str:
    """Write docs/devices.md: a table for each kind of device."""
    kinds: dict[str, list[Entry]] = defaultdict(list)
    for profile in profiles:
        kinds[profile.kind].append(entry_of(profile))
    count = sum(map(len, kinds.values()))
    parts = [HEADING, f"{count} devices of {len(kinds)} kinds.\n"]
    parts += [_section(kind, sorted(kinds[kind], key=lambda entry: entry.profile)) for kind in sorted(kinds)]
    return "\n".join(parts)


def _section(kind: str, entries: Sequence[Entry]) -> str:
    lines = [
        f"## {kind}\n",
        "| device | what it is | link | points | alarms | frames | tried on | sources |",
        "|---|---|---|---|---|---|---|---|",
        *map(_row, entries),
    ]
    return "\n".join(lines) + "\n"


def _row(entry: Entry) -> str:
    frames = [f"{count} {word}" for count, word in ((entry.printed, "printed"), (entry.composed, "composed")) if count]
    cells = [
        f"[{entry.profile}](../device_profiles/catalogue/{entry.profile}.toml)<br>{entry.maker} {entry.model}",
        f"{entry.title['en']}<br>{entry.title['zh']}",
        entry.link,
        _counted(entry.points),
        ", ".join(entry.alarms) or ("what it says" if entry.is_speaking else "none"),
        ", ".join(frames) or "none",
        "; ".join(entry.tested_on) or _NOBODY,
        "; ".join(entry.sources),
    ]
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _counted(points: Sequence[str]) -> str:
    """Name points, those of a numbered row together: `button_1 to button_8`."""
    runs: list[list[str]] = []
    for key in points:
        if runs and _follows(runs[-1][-1], key):
            runs[-1].append(key)
        else:
            runs.append([key])
    return ", ".join(f"{run[0]} to {run[-1]}" if run[2:] else ", ".join(run) for run in runs) or "none"


def _follows(before: str, key: str) -> bool:
    stem, _, number = before.rpartition("_")
    return number.isdigit() and key == f"{stem}_{int(number) + 1}"
