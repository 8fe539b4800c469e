"""Maps with more than signs: what is where and how it stands, and the way somebody took.

Source: "Geomap", Grafana 12, and its layers `markers` and `route`, which draw the first frame of an answer alone: a
question for a map gives one series.
"""

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import geomap
from grafana_foundation_sdk.models import common

from cloud.grafana.board import Context
from cloud.grafana.influxql import DATASOURCE, Ask
from cloud.grafana.look import LOW, NORMAL

_TEXT = {"fontSize": 11, "offsetX": 0, "textAlign": "center", "textBaseline": "middle"}
_CIRCLE, _TRIANGLE = "img/icons/marker/circle.svg", "img/icons/marker/triangle.svg"


def standing(
    context: Context,
    title: str,
    question: Ask,
    *,
    colour: str,
    name: str,
    state: str,
    words: str,
    heading: str = "",
) -> geomap.Panel:
    """Show rows with `latitude` and `longitude`: a sign, its name below, and above in words what its colour says.

    Args:
        context: of the dashboards.
        title: marked by `N_`.
        question: whose rows these are, one series.
        colour: the field that colours; its mapping or thresholds say how.
        name: the field below each sign.
        state: the field above it, which says the same as the colour.
        words: what it shows, marked by `N_`.
        heading: the field with the direction in which signs point; 0 is north, 90 east.
    """
    shape = {"rotation": {"field": heading, "fixed": 0, "mode": "mod", "min": -360, "max": 360}} if heading else {}
    sign = {
        "size": {"fixed": 8, "min": 4, "max": 16},
        "color": {"field": colour, "fixed": NORMAL},
        "opacity": 0.8,
        "symbol": {"mode": "fixed", "fixed": _TRIANGLE if heading else _CIRCLE},
        **_text(name, 16),
        **shape,
    }
    said = {
        "size": {"fixed": 1, "min": 1, "max": 1},
        "color": {"field": colour, "fixed": NORMAL},
        "opacity": 1,
        "symbol": {"mode": "fixed", "fixed": _CIRCLE},
        **_text(state, -16),
    }
    panel = _map(context, title, question, words)
    shown = context.say(title)
    return panel.layers([_layer("markers", shown, sign, legend=True), _layer("markers", f"{shown} ·", said)])


def track(context: Context, title: str, question: Ask, *, colour: str, words: str) -> geomap.Panel:
    """Draw the way through rows with `latitude` and `longitude`, one series by time, with arrows and all its points.

    Args:
        context: of the dashboards.
        title: marked by `N_`.
        question: whose rows these are.
        colour: the field that colours the points; the tooltip has it as a number.
        words: what it shows, marked by `N_`.
    """
    way = {"size": {"fixed": 3, "min": 1, "max": 6}, "color": {"fixed": LOW}, "opacity": 0.7, "lineWidth": 2}
    points = {
        "size": {"fixed": 4, "min": 2, "max": 8},
        "color": {"field": colour, "fixed": NORMAL},
        "opacity": 0.9,
        "symbol": {"mode": "fixed", "fixed": _CIRCLE},
    }
    shown = context.say(title)
    panel = _map(context, title, question, words)
    last = _layer("markers", f"{shown} ·", points, legend=True)
    return panel.layers([_layer("route", shown, way, arrow=1), last])


def _text(field: str, offset: int) -> dict[str, object]:
    return {"text": {"mode": "field", "field": field, "fixed": ""}, "textConfig": {**_TEXT, "offsetY": offset}}


def _map(context: Context, title: str, question: Ask, words: str) -> geomap.Panel:
    panel = geomap.Panel().title(context.say(title)).datasource(DATASOURCE).with_target(question)
    panel.description(context.say(words))
    return panel.view(geomap.MapViewConfig().id("fit").all_layers(all_layers=True).padding(20))


def _layer(
    kind: str, name: str, style: dict[str, object], *, legend: bool = False, arrow: int = 0
) -> common_builders.MapLayerOptions:
    place = common_builders.FrameGeometrySource().mode(common.FrameGeometrySourceMode.COORDS)
    place.latitude("latitude").longitude("longitude")
    layer = common_builders.MapLayerOptions().type(kind).name(name).location(place)
    return layer.config({"style": style, "showLegend": legend, "arrow": arrow}).tooltip(tooltip=kind == "markers")
