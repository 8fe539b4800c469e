"""A dashboard for each kind of device, made from the profiles of that kind: their points, units, ranges and limits.

At most `MOST` devices are asked for at once, however many a city has: choose an area or a site to see others.
"""

from collections.abc import Callable, Iterator
from string import ascii_uppercase

from grafana_foundation_sdk.builders import bargauge, geomap, stat, statetimeline, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import table as table_builders
from grafana_foundation_sdk.models import common

from cloud.grafana import cells, variables
from cloud.grafana.alarms import site_link
from cloud.grafana.board import REFRESH_SLOW, Board, Context
from cloud.grafana.boards.device_kinds import title_of
from cloud.grafana.cells import of_row
from cloud.grafana.influxql import Ask, below, chosen, of, series, table
from cloud.grafana.kind_points import PLACE, Family, Member, families, severity_steps
from cloud.grafana.kind_uid import uid_of
from cloud.grafana.look import (
    CRITICAL,
    GOOD,
    HIGH,
    LOW,
    NORMAL,
    SEVERITIES,
    bars,
    lines,
    mappings_of,
    number,
    places,
    rows,
    steps,
    timeline,
)
from cloud.i18n import CHINESE, N_, catalogue_language
from device_profiles.codec import ValueKind
from device_profiles.model import Profile, Text

MOST = 50
"""Devices shown at once."""
MOST_SITES = 200
"""Sites to choose from at once."""

_KNOWN = "time > now() - 1d"
# Readings may lie in the future, of a gateway whose clock was ahead: the last of them is not the latest.
_SAID = f"{_KNOWN} AND time <= now()"
_WHO = '"gateway", "device"'
_ALIAS = "$tag_device ($tag_gateway)"
_SHORTEST_GAP_S = 600
_MOST_WORDS = 100
_COLOURS = {word: colour for _number, word, colour, _shown in SEVERITIES}
# Two numbers of one table that stand for words: none of one is found in the other.
_LOST = (("-20", NORMAL, N_("✓ answers")), ("-19", CRITICAL, N_("✗ lost")))
_WORST = tuple((str(-1 - value), colour, shown) for value, _word, colour, shown in SEVERITIES)


def boards(context: Context) -> Iterator[Board]:
    """Build one for each kind among the profiles, sorted by kind."""
    by_kind: dict[str, list[Profile]] = {}
    for profile in context.profiles:
        by_kind.setdefault(profile.kind, []).append(profile)
    for kind, profiles in sorted(by_kind.items()):
        yield _board(context, kind, sorted(profiles, key=lambda one: one.profile))


def _board(context: Context, kind: str, profiles: list[Profile]) -> Board:
    words = N_("Devices of one kind, at most 50 at once: choose an area or a site to see others")
    made = Board(context, uid_of(kind), title_of(context, kind), words=words, refresh=REFRESH_SLOW)
    made.variable(variables.area(context), _site(context, kind), variables.gateway(context), _device(context, kind))
    made.link(N_("Alarm wall"), "langyan-alarm-wall").link(N_("Site"), "langyan-site")
    made.row(N_("Overview"))
    for one in _numbers(context, kind):
        made.add(one, width=8, height=4)
    made.add(_standing(context, kind), width=24, height=10)
    every = families(profiles)
    drawn = [one for one in every if one.kind is ValueKind.NUMBER and not _is_place(one)]
    if drawn:
        made.row(N_("Numbers"))
    for family in drawn:
        made.add(_latest(context, family), width=8, height=8).add(_course(context, family), width=16, height=8)
    states = [one for one in every if one.kind is ValueKind.STATE or one.is_enumerated]
    if states:
        made.row(N_("States"))
    for place, family in enumerate(states, 1):
        is_alone = place == len(states) and place % 2
        made.add(_states(context, family), width=24 if is_alone else 12, height=7)
    _rest(made, context, every)
    return made


def _rest(made: Board, context: Context, every: list[Family]) -> None:
    """Add what is neither a number nor a state: words, and places."""
    words = [member for one in every if one.kind is ValueKind.WORD and not one.is_enumerated for member in one.members]
    if words:
        made.row(N_("Words")).add(_words(context, words), width=24, height=9)
    if {member.field for one in every for member in one.members}.issuperset(PLACE):
        made.row(N_("Where they are")).add(_map(context), width=24, height=12)


def _is_place(family: Family) -> bool:
    return any(member.field in PLACE for member in family.members)


def _site(context: Context, kind: str) -> builders.QueryVariable:
    """Choose among the sites that have such a device."""
    latest = (
        f'SELECT last("site_label") AS "label" FROM {of("device_state")} '
        f'WHERE {_KNOWN} AND {_of_kind(kind)} AND {below()} GROUP BY "site"'
    )
    return _chosen_by(variables.site(context, several=True), latest, MOST_SITES)


def _device(context: Context, kind: str) -> builders.QueryVariable:
    latest = (
        f'SELECT last("label") AS "label" FROM {of("device_state")} '
        f"WHERE {_KNOWN} AND {_of_kind(kind)} AND {below()} AND {chosen('site')} AND {chosen('gateway')} "
        f"GROUP BY {_WHO}"
    )
    return _chosen_by(variables.device(context), latest, MOST)


def _chosen_by(variable: builders.QueryVariable, latest: str, most: int) -> builders.QueryVariable:
    # The limit is that of the outer question: InfluxDB 3.x knows none of series.
    question = f'SELECT "label" FROM ({latest}) WHERE {_KNOWN} LIMIT {most}'
    return variable.query(question).definition(question)


def _of_kind(kind: str) -> str:
    # An id has no quotes (contract.ids).
    return f"\"kind\" = '{kind}'"


def _present(kind: str, taken: str, *, group: str = _WHO) -> str:
    where = f"{_KNOWN} AND {_of_kind(kind)} AND {below()} AND {chosen('site')} AND {chosen('device')}"
    return f"SELECT {taken} FROM {of('device_state')} WHERE {where} GROUP BY {group}"


def _numbers(context: Context, kind: str) -> list[stat.Panel]:
    def over(taken: str, field: str) -> Ask:
        latest = _present(kind, f'last("{field}") AS "n"')
        return series(f'SELECT {taken}("n") AS "n" FROM ({latest}) WHERE {_KNOWN}')

    shown = number(context, N_("Devices"), over("count", "lost"), words=N_("Shown here, of those the area has"))
    lost = number(context, N_("Lost"), over("sum", "lost"), words=N_("Their gateways do not reach them"))
    worst = number(
        context, N_("Worst alarm"), over("max", "worst"), words=N_("The most severe open alarm of any of them")
    )
    worst.mappings(mappings_of(context, [(str(value), colour, said) for value, _word, colour, said in SEVERITIES]))
    worst.thresholds(steps((None, NORMAL), (1, LOW), (3, HIGH), (4, CRITICAL)))
    return [shown, lost.thresholds(steps((None, GOOD), (1, CRITICAL))), worst]


def _standing(context: Context, kind: str) -> table_builders.Panel:
    latest = _present(
        kind, 'last("lost") AS "lost", "worst", "name", "place", "site_label", "profile"', group=f'{_WHO}, "site"'
    )
    question = (
        'SELECT "lost" - 20 AS "lost", 0 - "worst" - 1 AS "worst", "name", "place", "site_label", "profile", '
        f'"gateway", "device", "site" FROM ({latest}) WHERE {_KNOWN}'
    )
    headings = {
        "lost": N_("Answers"), "worst": N_("Worst alarm"), "name": N_("Name"), "place": N_("Place"),
        "site_label": N_("Site"), "device": N_("Device"), "gateway": N_("Gateway"), "profile": N_("Profile"),
        "site": N_("Site id"),
    }  # fmt: skip
    panel = rows(
        context, N_("How they stand"), table(question), columns=headings, no_value=N_("No such device is known here."),
        words=N_("Whether they answer their gateway, and their worst open alarm"),
    )  # fmt: skip
    cells.on_ground(panel, [*mappings_of(context, _LOST), *mappings_of(context, _WORST)])
    cells.hide(panel, [context.say(N_("Site id"))])
    first = common_builders.TableSortByFieldState().display_name(context.say(N_("Worst alarm"))).desc(desc=False)
    return panel.data_links([site_link(context, of_row("site"))]).sort_by([first])


def _mine() -> str:
    return f"{chosen('gateway')} AND {chosen('device')}"


def _over_time(function: str, member: Member) -> str:
    return (
        f'SELECT {function}("{member.field}") FROM {of("telemetry")} WHERE $timeFilter AND {_mine()} '
        f"GROUP BY time($__interval), {_WHO} fill(none)"
    )


def _now(function: str, member: Member) -> str:
    return f'SELECT {function}("{member.field}") FROM {of("telemetry")} WHERE {_SAID} AND {_mine()} GROUP BY {_WHO}'


def _asked(context: Context, family: Family, question: Callable[[str, Member], str], function: str) -> list[Ask]:
    """Ask for each member by itself: a device that does not have one gives no empty line."""
    found = []
    for letter, member in zip(_letters(), family.members, strict=False):
        name = "" if len(family.members) == 1 else f" · {_name(context, member.name)}"
        found.append(series(question(function, member), alias=_ALIAS + name, ref_id=letter))
    return found


def _letters() -> Iterator[str]:
    """Name questions as Grafana does: A to Z, then AA ..."""
    yield from ascii_uppercase
    yield from (first + second for first in ascii_uppercase for second in ascii_uppercase)


def _name(context: Context, name: Text) -> str:
    """Write a point's name; without what Grafana would take for a variable."""
    language = "zh" if catalogue_language(context.language) == CHINESE else "en"
    plain = name.get(language) or name.get("en") or next(iter(name.values()), "")
    return " ".join(plain.replace("$", "").replace("[[", "[").split())


def _title(context: Context, family: Family) -> str:
    first, last = _name(context, family.members[0].name), _name(context, family.members[-1].name)
    return first if len(family.members) == 1 else f"{first} … {last}"


def _latest(context: Context, family: Family) -> bargauge.Panel:
    first, *others = _asked(context, family, _now, "last")
    words = N_("The latest of the last day, in the range that the profile believes")
    panel = bars(context, _title(context, family), first, unit=family.unit, words=words)
    for one in others:
        panel.with_target(one)
    if family.low is not None and family.high is not None:
        panel.min(family.low).max(family.high)
    return panel.thresholds(_steps(family)) if family.limits else panel


def _course(context: Context, family: Family) -> timeseries.Panel:
    words = N_("Means; dashed lines are the limits of alarms, a gap is silence")
    asked = _asked(context, family, _over_time, "mean")
    panel = lines(context, _title(context, family), *asked, unit=family.unit, words=words).interval("30s")
    if family.limits:
        style = common_builders.GraphThresholdsStyleConfig().mode(common.GraphThresholdsStyleMode.DASHED)
        panel.thresholds(_steps(family)).thresholds_style(style)
    return panel if (gap := _gap_ms(family)) is None else panel.insert_nulls(gap)


def _gap_ms(family: Family) -> int | None:
    """Say how long nothing may come before a line is broken; None where nobody knows when something should."""
    return int(1_000 * max(_SHORTEST_GAP_S, 3 * family.every_s)) if family.every_s else None


def _steps(family: Family) -> builders.ThresholdsConfig:
    return steps(
        *(
            (value, GOOD if severity is None else _COLOURS[severity])
            for value, severity in severity_steps(family.limits)
        )
    )


def _states(context: Context, family: Family) -> statetimeline.Panel:
    words = N_("A row a device; a gap is silence")
    asked = _asked(context, family, _over_time, "last")
    panel = timeline(context, _title(context, family), *asked, words=words, every="30s").per_page(20)
    if family.kind is ValueKind.STATE:
        panel.mappings(mappings_of(context, _on_off(family)))
    return panel if (gap := _gap_ms(family)) is None else panel.insert_nulls(gap)


def _on_off(family: Family) -> list[tuple[str, str, str]]:
    """Write a state: what is an alarm by the profile in its colour, else on is blue."""
    on, off = LOW, NORMAL
    if family.alarm_when is not None:
        is_on, severity = family.alarm_when
        on, off = (_COLOURS[severity], GOOD) if is_on else (GOOD, _COLOURS[severity])
    return [("true", on, N_("● on")), ("false", off, N_("○ off"))]


def _words(context: Context, members: list[Member]) -> table_builders.Panel:
    taken = ", ".join(f'"{one.field}"' for one in members)
    question = (
        f'SELECT "device", "gateway", {taken} FROM {of("telemetry")} WHERE $timeFilter AND {_mine()} '
        f"ORDER BY time DESC LIMIT {_MOST_WORDS}"
    )
    headings = {"Time": N_("Time"), "device": N_("Device"), "gateway": N_("Gateway")}
    headings |= {one.field: _name(context, one.name) for one in members}
    return rows(
        context, N_("What they said"), table(question), columns=headings, words=N_("The latest 100 words"),
        no_value=N_("None of them said a word."),
    )  # fmt: skip


def _map(context: Context) -> geomap.Panel:
    latitude, longitude = PLACE
    latest = (
        f'SELECT last("{latitude}") AS "{latitude}", last("{longitude}") AS "{longitude}" FROM {of("telemetry")} '
        f"WHERE {_SAID} AND {_mine()} GROUP BY {_WHO}"
    )
    question = f'SELECT "{latitude}", "{longitude}", "device", "gateway" FROM ({latest}) WHERE {_KNOWN}'
    words = N_("Where each was last, within a day")
    return places(context, N_("Last places"), table(question), colour="device", label="device", words=words)
