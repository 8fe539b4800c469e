"""How things look on every dashboard: the colours of severities, never colour alone, and panels with our defaults.

Source of the colours: ISA-18.2 and common alarm lists: grey normal, blue low, yellow medium, orange high, red critical.
"""

from collections.abc import Mapping, Sequence
from typing import Self

from grafana_foundation_sdk.builders import bargauge, geomap, stat, statetimeline, table, text, timeseries
from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

from cloud.grafana.board import Context
from cloud.grafana.influxql import DATASOURCE, Ask
from cloud.i18n import N_

NORMAL, LOW, MEDIUM, HIGH, CRITICAL = "#8e8e8e", "#5794f2", "#f2cc0c", "#ff780a", "#e02f44"
GOOD = "#73bf69"

SEVERITIES: tuple[tuple[int, str, str, str], ...] = (
    (4, "critical", CRITICAL, N_("▲ critical")),
    (3, "high", HIGH, N_("◆ high")),
    (2, "medium", MEDIUM, N_("● medium")),
    (1, "low", LOW, N_("○ low")),
    (0, "none", NORMAL, N_("– none")),
)
"""Number, word, colour, and what people read: a sign and a word beside every colour."""

STATES: tuple[tuple[str, str, str], ...] = (
    ("unacknowledged", CRITICAL, N_("unacknowledged")),
    ("acknowledged", HIGH, N_("acknowledged")),
    ("returned-unacknowledged", MEDIUM, N_("over, unacknowledged")),
    ("latched-unacknowledged", CRITICAL, N_("latched, unacknowledged")),
    ("latched-acknowledged", HIGH, N_("latched, acknowledged")),
    ("shelved", NORMAL, N_("shelved")),
    ("suppressed-by-design", NORMAL, N_("suppressed by design")),
    ("out-of-service", NORMAL, N_("out of service")),
    ("normal", NORMAL, N_("normal")),
)
"""Word, colour, and what people read."""


def severity_mappings(context: Context) -> list[models.ValueMapping]:
    """Write a severity, number or word, as sign and word in its colour."""
    results = {}
    for index, (number, word, colour, shown) in enumerate(SEVERITIES):
        for key in (str(number), word):
            results[key] = models.ValueMappingResult(text=context.say(shown), color=colour, index=index)
    return [models.ValueMap(options=results)]


def mappings_of(context: Context, words: Sequence[tuple[str, str, str]]) -> list[models.ValueMapping]:
    """Write words in colours: (value, colour, text marked by `N_`) each."""
    results = {
        value: models.ValueMappingResult(text=context.say(shown), color=colour, index=index)
        for index, (value, colour, shown) in enumerate(words)
    }
    return [models.ValueMap(options=results)]


def yes_no(context: Context, *, yes: str = GOOD, no: str = CRITICAL, numbers: bool = True) -> list[models.ValueMapping]:
    """Write true and false as words; 1 and 0 too, unless `numbers` of other columns are there."""
    words = {"true": (N_("✓ yes"), yes), "false": (N_("✗ no"), no)}
    if numbers:
        words |= {"1": words["true"], "0": words["false"]}
    results = {
        key: models.ValueMappingResult(text=context.say(word), color=colour) for key, (word, colour) in words.items()
    }
    return [models.ValueMap(options=results)]


def steps(*pairs: tuple[float | None, str]) -> builders.ThresholdsConfig:
    """Colour values from each limit on; the first limit is None."""
    found = [models.Threshold(value=value, color=colour) for value, colour in pairs]
    return builders.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE).steps(found)


class Number(stat.Panel):
    """One number; grey where there is none, whatever else is mapped: nobody's word is not a good one."""

    def mappings(self, mappings: list[models.ValueMapping]) -> Self:
        """Write values as words, and nothing in grey."""
        grey = models.ValueMappingResult(color=NORMAL, index=len(mappings))
        nothing = models.DashboardSpecialValueMapOptions(match=models.SpecialValueMatch.NULL, result=grey)
        return super().mappings([*mappings, models.SpecialValueMap(options=nothing)])


def number(
    context: Context, title: str, question: Ask, *, unit: str = "short", words: str = "", is_count: bool = False
) -> stat.Panel:
    """Show one number, large.

    Args:
        context: of the dashboards.
        title: marked by `N_`.
        question: whose latest value it is.
        unit: Grafana's.
        words: what it shows, marked by `N_`.
        is_count: nothing found is none, in the colour of 0; else it is a dash in grey.
    """
    panel = stat.Panel().no_value("0") if is_count else Number().mappings([]).no_value("–")
    panel.title(context.say(title)).datasource(DATASOURCE).with_target(question).unit(unit)
    panel.description(context.say(words)).color_mode(common.BigValueColorMode.BACKGROUND)
    panel.graph_mode(common.BigValueGraphMode.NONE).thresholds(steps((None, NORMAL)))
    reduced = common_builders.ReduceDataOptions().calcs(["lastNotNull"]).fields("").values(False)
    return panel.reduce_options(reduced)


def lines(context: Context, title: str, *questions: Ask, unit: str = "short", words: str = "") -> timeseries.Panel:
    """Draw values over time."""
    panel = timeseries.Panel().title(context.say(title)).datasource(DATASOURCE).unit(unit)
    panel.description(context.say(words)).fill_opacity(8).line_width(1)
    panel.show_points(common.VisibilityMode.AUTO)
    # Limits are drawn as limits: a line's colour tells which it is.
    panel.color_scheme(builders.FieldColor().mode(models.FieldColorModeId.PALETTE_CLASSIC))
    legend = common_builders.VizLegendOptions().show_legend(True).placement(common.LegendPlacement.BOTTOM)
    panel.legend(legend.display_mode(common.LegendDisplayMode.LIST))
    for question in questions:
        panel.with_target(question)
    return panel


def rows(
    context: Context, title: str, question: Ask, *, columns: Mapping[str, str], words: str = "", no_value: str = ""
) -> table.Panel:
    """Show rows.

    Args:
        context: of the dashboards.
        title: marked by `N_`.
        question: whose columns these are.
        columns: by name in the answer, its heading, marked by `N_`; in the order shown. Others are hidden; how a
            column is drawn is said by its heading: `cells.draw(panel, [context.say(heading)], ...)`.
        words: what it shows, marked by `N_`.
        no_value: said where there are no rows, marked by `N_`.
    """
    panel = table.Panel().title(context.say(title)).datasource(DATASOURCE).with_target(question)
    panel.description(context.say(words)).filterable(True)
    if no_value:
        panel.no_value(context.say(no_value))
    organized = {
        "includeByName": dict.fromkeys(columns, True),
        "indexByName": {name: index for index, name in enumerate(columns)},
        "renameByName": {name: context.say(heading) for name, heading in columns.items()},
    }
    return panel.with_transformation(models.DataTransformerConfig(id_val="organize", options=organized))


def timeline(context: Context, title: str, *questions: Ask, words: str = "", every: str = "") -> statetimeline.Panel:
    """Draw states over time, a row a series; `every`: the least width of a point."""
    panel = statetimeline.Panel().title(context.say(title)).datasource(DATASOURCE)
    panel.description(context.say(words)).show_value(common.VisibilityMode.AUTO).row_height(0.9)
    panel.merge_values(True).fill_opacity(80).line_width(0)
    for question in questions:
        panel.with_target(question)
    if every:
        panel.interval(every)
    return panel


def bars(context: Context, title: str, question: Ask, *, unit: str = "short", words: str = "") -> bargauge.Panel:
    """Compare numbers as bars, one a series or row."""
    panel = bargauge.Panel().title(context.say(title)).datasource(DATASOURCE).with_target(question).unit(unit)
    panel.description(context.say(words)).orientation(common.VizOrientation.HORIZONTAL)
    panel.display_mode(common.BarGaugeDisplayMode.BASIC).min(0).thresholds(steps((None, LOW)))
    return panel


def places(
    context: Context, title: str, question: Ask, *, colour: str, label: str = "", words: str = ""
) -> geomap.Panel:
    """Show rows with `latitude` and `longitude` on a map, by signs whose colour is that of a field.

    Args:
        context: of the dashboards.
        title: marked by `N_`.
        question: whose rows these are.
        colour: the field that colours; its mapping or thresholds say how. The word beside it is in the tooltip, and in
            `label`.
        label: field written beside each sign; never colour alone.
        words: what it shows, marked by `N_`.
    """
    panel = geomap.Panel().title(context.say(title)).datasource(DATASOURCE).with_target(question)
    style: dict[str, object] = {
        "size": {"fixed": 8, "min": 4, "max": 16},
        "color": {"field": colour, "fixed": NORMAL},
        "opacity": 0.8,
        "symbol": {"mode": "fixed", "fixed": "img/icons/marker/circle.svg"},
    }
    if label:
        style["text"] = {"mode": "field", "field": label, "fixed": ""}
        style["textConfig"] = {"fontSize": 11, "offsetX": 0, "offsetY": 14, "textAlign": "center",
                               "textBaseline": "middle"}  # fmt: skip
    location = common_builders.FrameGeometrySource().mode(common.FrameGeometrySourceMode.COORDS)
    location.latitude("latitude").longitude("longitude")
    layer = common_builders.MapLayerOptions().type("markers").name(context.say(title)).location(location)
    layer.config({"style": style, "showLegend": True}).tooltip(True)
    panel.description(context.say(words)).layers([layer])
    panel.view(geomap.MapViewConfig().id("fit").all_layers(True).padding(20))
    return panel


def words_panel(context: Context, title: str, markdown: str) -> text.Panel:
    """Say something; `markdown` is marked by `N_`."""
    panel = text.Panel().title(context.say(title)).mode("markdown")  # type: ignore[arg-type]
    return panel.content(context.say(markdown))


def link_to(title: str, url: str, *, new_tab: bool = False) -> dict[str, object]:
    """Make a link of a cell or a point; by Grafana's schema no value of an override is a list: see `cells.link`."""
    return {"title": title, "url": url, "targetBlank": new_tab}
