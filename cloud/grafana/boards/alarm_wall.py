"""The alarm wall: what is open, where, and for how long."""

from collections.abc import Iterator

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import geomap, stat, statetimeline, timeseries
from grafana_foundation_sdk.models import common

from cloud.grafana import cells, variables
from cloud.grafana.alarms import latest_events, mark_alarms, open_alarms, site_link
from cloud.grafana.board import REFRESH_WALL, Board, Context
from cloud.grafana.cells import of_row
from cloud.grafana.influxql import FRESH, below, chosen, series, table
from cloud.grafana.look import (
    CRITICAL,
    GOOD,
    HIGH,
    LOW,
    MEDIUM,
    NORMAL,
    SEVERITIES,
    lines,
    mappings_of,
    number,
    places,
    severity_mappings,
    steps,
    timeline,
)
from cloud.i18n import N_

UID = "langyan-alarm-wall"
_HEIGHT = 4
_COUNT_WIDTH = 3
# Areas and sites say every five minutes how they stand: in ten there is always a word of them, else a gap.
_STEP = "10m"
_GAP_MS = 900_000
# Numbers that stand for words are where no id and no degree is: links take what is shown.
_LEVEL = -1_000

_COUNTS: tuple[tuple[str, str, str, str], ...] = (
    ("critical", N_("▲ Critical"), CRITICAL, N_("Open alarms that are critical, but for those that are held back")),
    ("high", N_("◆ High"), HIGH, N_("Open alarms of high severity, but for those that are held back")),
    ("medium", N_("● Medium"), MEDIUM, N_("Open alarms of medium severity, but for those that are held back")),
    ("low", N_("○ Low"), LOW, N_("Open alarms of low severity, but for those that are held back")),
    ("unacknowledged", N_("! Not acknowledged"), CRITICAL, N_("Open alarms that nobody has taken")),
    (
        "over_target",
        N_("⧖ Over target"),
        HIGH,
        N_("Open alarms older than the time within which they should be closed"),
    ),
    (
        "suppressed",
        N_("⊘ Held back"),
        NORMAL,
        N_("Open alarms that are shelved, suppressed by design or out of service"),
    ),
)
"""Field of `area_state`, heading with a sign beside the colour, the colour from one on, and what it is."""


def board(context: Context) -> Board:
    """Build it."""
    wall = Board(
        context, UID, N_("Alarm wall"), words=N_("What is open, where, and for how long"), refresh=REFRESH_WALL
    )
    wall.variable(variables.area(context))
    for panel in _counts(context):
        wall.add(panel, width=_COUNT_WIDTH, height=_HEIGHT)
    wall.add(_as_of(context), width=_COUNT_WIDTH, height=_HEIGHT)
    words = N_("The worst first, then the oldest. Age to target is red and above 100 % when it is too late.")
    wall.add(open_alarms(context, where=below(), title=N_("Open alarms"), words=words), width=24, height=11)
    wall.add(_area_over_time(context), width=24, height=4)
    wall.add(_sites_over_time(context), width=13, height=12).add(_map(context), width=11, height=12)
    wall.add(_course(context), width=13, height=9).add(latest_events(context, where=below()), width=11, height=9)
    wall.link(N_("Site"), "langyan-site").link(N_("Response"), "langyan-response")
    wall.link(N_("Gateways"), "langyan-gateways")
    return mark_alarms(wall, where=below())


def _counts(context: Context) -> Iterator[stat.Panel]:
    for field, title, colour, words in _COUNTS:
        panel = number(context, title, series(_latest(f'last("{field}")')), words=words)
        yield panel.thresholds(steps((None, GOOD), (1, colour)) if colour != NORMAL else steps((None, NORMAL)))


def _as_of(context: Context) -> stat.Panel:
    """Tell how old the picture is: a wall that shows nothing must not look like a quiet night."""
    words = N_("When the state of the area was written last; without it for ten minutes this wall shows nothing")
    panel = number(context, N_("As of"), table(_latest('last("open") AS "open"')), words=words, unit="dateTimeFromNow")
    panel.no_value(context.say(N_("✗ nothing is written: look at `langyan cloud trades`")))
    whole = common_builders.ReduceDataOptions().calcs(["lastNotNull"]).fields("/^Time$/").values(values=False)
    return panel.reduce_options(whole).color_mode(common.BigValueColorMode.NONE)


def _area_over_time(context: Context) -> statetimeline.Panel:
    """Tell a quiet night from one in which nothing was written."""
    question = (
        f'SELECT max("worst") FROM "area_state" WHERE $timeFilter AND {chosen("area")} '
        'GROUP BY time($__interval), "area" fill(none)'
    )
    words = N_("Severity of the worst open alarm of the area; where nothing is drawn nothing was written")
    asked = series(question, alias="$tag_area")
    panel = timeline(context, N_("The area over time"), asked, words=words, every=_STEP)
    return _severities_over_time(context, panel)


def _severities_over_time(context: Context, panel: statetimeline.Panel) -> statetimeline.Panel:
    return panel.mappings(severity_mappings(context)).thresholds(_severity_steps()).insert_nulls(_GAP_MS)


def _sites_over_time(context: Context) -> statetimeline.Panel:
    # Words of sites without an alarm are left out: of a city they are far too many to be asked for.
    question = (
        f'SELECT max("worst") FROM "site_state" WHERE $timeFilter AND {below()} AND "worst" > 0 '
        'GROUP BY time($__interval), "site" fill(none)'
    )
    words = N_(
        "Severity of the worst open alarm of every site that had one; of ten minutes the worst moment. Between them "
        "there was none, or no word: see above. Look at days, not weeks"
    )
    asked = series(question, alias="$tag_site")
    panel = timeline(context, N_("Sites with alarms"), asked, words=words, every=_STEP)
    _severities_over_time(context, panel).per_page(25)
    panel.no_value(context.say(N_("No site had an alarm, or nothing was written.")))
    return panel.data_links([site_link(context, "${__field.labels.site:percentencode}")])


def _map(context: Context) -> geomap.Panel:
    fields = '"name", "open", "address", "latitude", "longitude"'
    fresh = f"time > now() - {FRESH}"
    question = (
        f'SELECT {fields}, {_LEVEL} - "worst" AS "level", "site" FROM (SELECT last("worst") AS "worst", {fields} '
        f'FROM "site_state" WHERE {fresh} AND {below()} GROUP BY "site") WHERE {fresh}'
    )
    words = N_("Every site by its worst open alarm, with its sign; the ground needs the internet or tiles of yours")
    panel = places(context, N_("Map of the sites"), table(question), colour="level", label="level", words=words)
    signs = [(_LEVEL - level, its_colour, shown) for level, _word, its_colour, shown in SEVERITIES[:4]]
    levels = [(str(level), its_colour, shown) for level, its_colour, shown in (*signs, (_LEVEL, NORMAL, "·"))]
    panel.mappings(mappings_of(context, levels)).thresholds(steps((None, NORMAL)))
    return panel.data_links([site_link(context, of_row("site"))])


def _course(context: Context) -> timeseries.Panel:
    named = [(field, context.say(title), colour) for field, title, colour, _words in _COUNTS[:4]]
    fields = ", ".join(f'max("{field}") AS "{title}"' for field, title, _colour in named)
    where = f"WHERE $timeFilter AND {chosen('area')} GROUP BY time($__interval) fill(none)"
    question = f'SELECT {fields} FROM "area_state" {where}'
    words = N_("How many were open, by severity")
    panel = lines(context, N_("Open alarms over time"), series(question, alias="$col"), words=words)
    panel.stacking(common_builders.StackingConfig().mode(common.StackingMode.NORMAL)).fill_opacity(40)
    panel.line_interpolation(common.LineInterpolation.STEP_AFTER).span_nulls(span_nulls=True).min(0).decimals(0)
    for _field, title, colour in named:
        cells.colour(panel, title, colour)
    return panel.interval("1m")


def _latest(what: str) -> str:
    return f'SELECT {what} FROM "area_state" WHERE time > now() - {FRESH} AND {chosen("area")}'


def _severity_steps() -> builders.ThresholdsConfig:
    return steps((None, NORMAL), (1, LOW), (2, MEDIUM), (3, HIGH), (4, CRITICAL))
