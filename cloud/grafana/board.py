"""A dashboard in the making: panels flow onto the grid, and everything all dashboards share is said once."""

import json
from dataclasses import dataclass, field
from typing import Any, Protocol, Self, cast

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import dashboard as models

from cloud.grafana.influxql import DATASOURCE, InfluxQuery
from cloud.i18n import translate_to
from device_profiles.model import Profile

COLUMNS = 24
TAG = "langyan"
"""On every dashboard of ours; by it `push` knows what it may replace."""

REFRESH_WALL = "10s"
REFRESH = "1m"
REFRESH_SLOW = "5m"


@dataclass(frozen=True, kw_only=True)
class Context:
    """What all dashboards are built from.

    Attributes:
        language: of their texts, a tag as in `cloud.i18n`.
        desk_url: where people reach the desk's pages, without a slash at its end; "" where nobody says.
        profiles: of the devices for which dashboards are wanted.
        timezone: whose days count, as in `[desk]`; an IANA name.
        has_policies: whether InfluxDB has retention policies beside the default one; 3.x has not.
    """

    language: str = "en"
    desk_url: str = ""
    profiles: tuple[Profile, ...] = field(default=())
    timezone: str = "Asia/Shanghai"
    has_policies: bool = True

    def say(self, text: str) -> str:
        """Write a text that stands in the code, marked by `N_`, in the language of the dashboards."""
        return translate_to(self.language, text)

    @property
    def text_field(self) -> str:
        """Name of the field that holds an alarm's text in this language."""
        return "text_zh" if self.language.lower().startswith("zh") else "text_en"


class PanelBuilder(Protocol):
    """What the SDK's panels have in common."""

    def build(self) -> models.Panel:
        """Give it."""

    def id(self, id_val: int) -> Self:
        """Number it."""

    def grid_pos(self, grid_pos: models.GridPos) -> Self:
        """Place it."""


class Board:
    """Collects what a dashboard has; `build` gives it as Grafana's classic JSON (schema v1)."""

    def __init__(
        self, context: Context, uid: str, title: str, *, words: str, refresh: str = REFRESH, since: str = "now-24h"
    ) -> None:
        """Begin.

        Args:
            context: of all dashboards.
            uid: for ever the same, `langyan-...`; at most 40 of A-Z a-z 0-9 _ -.
            title: marked by `N_`; or already a name of somebody's.
            words: one line on what it is for, marked by `N_`.
            refresh: how often panels ask again.
            since: what it looks back to.
        """
        self.context, self.uid = context, uid
        self._board = builders.Dashboard(context.say(title))
        self._board.uid(uid).description(context.say(words)).tags([TAG]).editable().refresh(refresh)
        self._board.time(since, "now").timezone("browser").tooltip(models.DashboardCursorSync.CROSSHAIR)
        self._links: list[Builder[models.DashboardLink]] = []
        self._annotations: list[models.AnnotationQuery] = []
        self._count = self._x = self._y = self._height = 0

    def variable(self, *variables: Builder[models.VariableModel]) -> Self:
        """Add variables, in the order of their chain."""
        for one in variables:
            self._board.with_variable(one)
        return self

    def row(self, title: str) -> Self:
        """Begin a new row of panels under a heading."""
        self._break()
        row = builders.Row(self.context.say(title)).id(self._next_id())
        row.grid_pos(models.GridPos(x=0, y=self._y, w=COLUMNS, h=1))
        self._board.with_row(row)
        self._y += 1
        return self

    def add(self, panel: PanelBuilder, *, width: int, height: int) -> Self:
        """Place a panel to the right of the last one, or below where it does not fit."""
        if self._x + width > COLUMNS:
            self._break()
        panel.id(self._next_id()).grid_pos(models.GridPos(x=self._x, y=self._y, w=width, h=height))
        self._board.with_panel(cast("Builder[models.Panel]", panel))
        self._x, self._height = self._x + width, max(self._height, height)
        return self

    def link(self, title: str, uid: str, *, keep_variables: bool = True) -> Self:
        """Add a link to another of our dashboards, which takes time and variables along."""
        link = builders.DashboardLink(self.context.say(title)).type(models.DashboardLinkType.LINK)
        link.url(f"/d/{uid}").icon("dashboard").keep_time(True).include_vars(keep_variables)
        self._links.append(link)
        return self

    def annotate(self, name: str, question: str, *, colour: str) -> Self:
        """Mark moments on every panel with a time axis.

        Args:
            name: marked by `N_`.
            question: InfluxQL that gives rows with `text`, and `tags` where there are some.
            colour: of the mark.
        """
        query = models.AnnotationQuery(
            name=self.context.say(name), datasource=DATASOURCE, icon_color=colour,
            target=InfluxQuery(text=" ".join(question.split()), ref_id="Anno", form="table", marks=True),
        )  # fmt: skip
        self._annotations.append(query)
        return self

    def build(self) -> dict[str, Any]:
        """Give it as plain values, as they stand in the file."""
        if self._links:
            self._board.links(self._links)
        built = self._board.build()
        built.annotations = models.AnnotationContainer(list_val=self._annotations)
        plain: dict[str, Any] = json.loads(json.dumps(built, cls=JSONEncoder))
        return plain

    def _next_id(self) -> int:
        self._count += 1
        return self._count

    def _break(self) -> None:
        self._y += self._height
        self._x = self._height = 0
