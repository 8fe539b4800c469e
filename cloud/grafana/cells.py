"""What some fields of a panel are dressed in, within what Grafana's published schema allows.

By that schema the options of a matcher and the values of an override are objects: no text, number or list. So what is a
unit, a mapping or a link is said once for all fields of a panel (its defaults), and fields are told apart by what they
hold: words by a mapping of words, numbers that stand for words by values that no other number has. An override says
only what is an object: how a cell is drawn, its limits, its colour, whether it is hidden.

Source: "Configure field overrides" and "Table", Grafana 12; the schema of dashboards of grafana-foundation-sdk.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.builders import table
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models import dashboard as models

from cloud.grafana.look import steps

CLEAR = "transparent"
"""Grafana's colour of no colour, under what has no words of its own."""

COLOURED: Mapping[str, object] = {"type": "color-text"}
"""Text in the colour of its value."""
BAR: Mapping[str, object] = {"type": "gauge", "mode": "basic", "valueDisplayMode": "text"}
"""A bar with its number beside it, between the panel's least and greatest value."""

Limits = Sequence[tuple[float | None, str]]


class Dressed(Protocol):
    """What panels have in common that can be dressed."""

    def with_override(self, matcher: models.MatcherConfig, properties: list[models.DynamicConfigValue]) -> object:
        """Set something of some fields."""


def on_ground(panel: table.Panel, mappings: Sequence[models.ValueMapping]) -> None:
    """Write what stands for words as words, each on a ground of its colour; break what is long into lines."""
    ground = common.TableColoredBackgroundCellOptions(mode=common.TableCellBackgroundDisplayMode.BASIC, wrap_text=True)
    panel.cell_options(ground).mappings(list(mappings)).thresholds(steps((None, CLEAR)))


def draw(panel: Dressed, names: Sequence[str], how: Mapping[str, object], *, limits: Limits = ()) -> None:
    """Say how the cells of columns are drawn.

    Args:
        panel: a table.
        names: headings as they are shown.
        how: `COLOURED` or `BAR`.
        limits: value and colour from there on; none: those of the panel.
    """
    settings: dict[str, object] = {"custom.cellOptions": how}
    if limits:
        settings |= {"thresholds": steps(*limits).build(), "color": {"mode": "thresholds"}}
    _dress(panel, names, settings)


def colour(panel: Dressed, name: str, fixed: str) -> None:
    """Draw a series in a colour of its own."""
    _dress(panel, [name], {"color": {"mode": "fixed", "fixedColor": fixed}})


def hide(panel: Dressed, names: Sequence[str]) -> None:
    """Keep columns for links and do not show them; Grafana before 12.2 shows them nevertheless, so let them be last."""
    _dress(panel, names, {"custom.hideFrom": {"viz": True, "legend": False, "tooltip": False}})


def link(title: str, url: str, *, new_tab: bool = False) -> Builder[models.DashboardLink]:
    """Make a way that leads from every cell or point of a panel: `panel.data_links([...])`."""
    way = builders.DashboardLink(title).type(models.DashboardLinkType.LINK)
    return way.url(url).target_blank(new_tab)


def together(*mappings: Sequence[models.ValueMapping]) -> list[models.ValueMapping]:
    """Put mappings together; of two for one value the first holds."""
    return [one for several in mappings for one in several]


def of_row(field: str) -> str:
    """Write what Grafana fills in for a field of the row or point that somebody points at."""
    return f"${{__data.fields.{field}:percentencode}}"


def _dress(panel: Dressed, names: Sequence[str], settings: Mapping[str, object]) -> None:
    matcher = models.MatcherConfig(id_val="byNames", options={"mode": "include", "names": list(names)})
    panel.with_override(matcher, [models.DynamicConfigValue(name, value) for name, value in settings.items()])
