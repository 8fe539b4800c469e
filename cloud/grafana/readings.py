"""What devices of any kind say, side by side: the latest of every point, and how numbers went.

Which points there are is said by the profiles: a question for all fields would show counters and times as well. A panel
has one unit, and points have many; so a series bears its unit in its name, and `unit_variable` chooses among them.
"""

from collections.abc import Iterator

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import stat, timeseries
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

from cloud.grafana.board import Context
from cloud.grafana.influxql import series
from cloud.grafana.look import MEDIUM, NORMAL, lines, number
from cloud.i18n import N_

UNIT = "unit"
_LATEST = "1d"
_JOINT = " · "
_PLACES = {"latitude", "longitude", "altitude", "course"}
"""Of what moves; it has maps of its own."""
_SHOWN = {"Cel": "°C", "deg": "°", "%RH": "% RH", "%EL": "%", "ug/m3": "µg/m³", "W/m2": "W/m²", "count": "×", "/": "1"}
"""Units of SenML as people write them; others as they are."""


def unit_variable(context: Context) -> builders.CustomVariable:
    """Choose readings of one unit, all unless somebody does; its value is a pattern of the points' keys."""
    every = context.say(N_("all"))
    choices = {every: sorted(key for keys in _by_unit(context).values() for key in keys), **_by_unit(context)}
    written = {text: "|".join(keys) for text, keys in choices.items()}
    variable = builders.CustomVariable(UNIT).label(context.say(N_("Unit")))
    variable.values(", ".join(f"{text} : {keys}" for text, keys in written.items()))
    options = [models.VariableOption(text=text, value=keys, selected=text == every) for text, keys in written.items()]
    return variable.options(options).current(options[0])


def live(context: Context, *, where: str) -> stat.Panel:
    """Show the latest value of every point of devices, a tile each; `where`: on the tags of `telemetry`."""
    keys = sorted({key for key, _unit in _points(context)})
    question = (
        f'SELECT last(/^({"|".join(keys)})$/) FROM "telemetry" WHERE time > now() - {_LATEST} '
        f'AND time <= now() AND {where} GROUP BY "gateway", "device"'
    )
    words = N_("The latest of the last day, a tile a point")
    panel = number(context, N_("Live values"), series(question, alias=f"$tag_device{_JOINT}$col"), words=words)
    every = common_builders.ReduceDataOptions().calcs(["lastNotNull"]).fields(f"/{_JOINT}/").values(values=False)
    panel.reduce_options(every).text_mode(common.BigValueTextMode.VALUE_AND_NAME).mappings(_on_and_off(context))
    panel.color_mode(common.BigValueColorMode.VALUE).no_value("–")
    for one in _named(context, "last"):
        panel.with_transformation(one)
    return panel


def course(context: Context, *, where: str) -> timeseries.Panel:
    """Draw the numbers of devices that `unit_variable` chooses over time; `where`: on the tags of `telemetry`."""
    question = (
        f'SELECT mean(/^(${{{UNIT}:raw}})$/) FROM "telemetry" WHERE $timeFilter AND {where} '
        'GROUP BY time($__interval), "gateway", "device" fill(none)'
    )
    words = N_("Means of the points that are numbers; marks are alarms")
    panel = lines(context, N_("Readings"), series(question, alias=f"$tag_device{_JOINT}$col"), words=words)
    for one in _named(context, "mean"):
        panel.with_transformation(one)
    return panel.interval("30s").span_nulls(3_600_000)


def _points(context: Context) -> Iterator[tuple[str, str | None]]:
    """Give key and unit of every point of the profiles, but for places; keys have no signs of patterns."""
    for profile in context.profiles:
        yield from ((point.key, point.unit) for point in profile.points if point.key not in _PLACES)


def _by_unit(context: Context) -> dict[str, list[str]]:
    """Sort the keys of numbers by their unit, as people write it."""
    found: dict[str, set[str]] = {}
    for key, unit in _points(context):
        if unit:
            found.setdefault(_SHOWN.get(unit, unit), set()).add(key)
    return {unit: sorted(found[unit]) for unit in sorted(found)}


def _named(context: Context, function: str) -> Iterator[models.DataTransformerConfig]:
    """Name series for people: `last_power` of a meter becomes `meter · power, W`."""
    renamed = [(f"^(.*{_JOINT}){function}_(.*)$", "$1$2")]
    renamed += [(f"^(.*{_JOINT}({'|'.join(keys)}))$", f"$1, {unit}") for unit, keys in _by_unit(context).items()]
    for pattern, name in renamed:
        options = {"regex": pattern, "renamePattern": name}
        yield models.DataTransformerConfig(id_val="renameByRegex", options=options)


def _on_and_off(context: Context) -> list[models.ValueMapping]:
    results = {
        "true": models.ValueMappingResult(text=context.say(N_("● on")), color=MEDIUM),
        "false": models.ValueMappingResult(text=context.say(N_("○ off")), color=NORMAL),
    }
    return [models.ValueMap(options=results)]
