"""Draw docs/pictures/*.svg: dashboards as Langyan builds them, with answers of a real InfluxDB to their questions.

No Grafana is needed, and none is shown: panels are drawn by ourselves, and every picture says so.

usage: python -m scripts.draw_dashboards [FOLDER]
"""

import sys
import time
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cloud.grafana.board import COLUMNS, Context
from cloud.grafana.build import build_all
from cloud.grafana.expand import Chosen, Window, fill
from langyan.servers import Influx
from scripts.drawn import story, svg
from scripts.drawn.panels import Box, draw
from tests.cloud import grafana_rig as rig
from tests.cloud.grafana_frames import Frame, frames_of, shown_by
from tests.cloud.grafana_stock import profiles

PICTURES = Path(__file__).parent.parent / "docs" / "pictures"
WIDTH = 1_440
ROW, GAP, TITLE, HEAD = 38, 8, 30, 92
DRAWN: Mapping[str, tuple[str, str, int]] = {
    "wall": ("langyan-alarm-wall", "en", 31),
    "site": ("langyan-site", "zh", 35),
    "towers": ("langyan-towers", "en", 46),
    "gateways": ("langyan-gateways", "en", 42),
    "response": ("langyan-response", "en", 47),
}
"""Name of the picture, the dashboard's uid and language, and how many rows of its grid are drawn."""


def main(folder: Path = PICTURES) -> int:
    """Draw all of them into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="langyan-pictures-") as data, Influx(Path(data)) as influx:
        rig.fill(influx.url, stock=story.lines(time.time_ns() // 1_000))
        for name, (uid, language, rows) in DRAWN.items():
            built = build_all(Context(language=language, desk_url="https://desk.example", profiles=profiles()))
            model = next(one.model for one in built if one.uid == uid)
            path = folder / f"{name}.svg"
            path.write_text(picture(model, influx.url, rows), encoding="utf-8")
            print(f"drawn: {path}, {path.stat().st_size // 1024} KiB")
    return 0


def picture(model: Mapping[str, Any], url: str, rows: int) -> str:
    """Draw one dashboard down to a row of its grid."""
    now_ms = time.time_ns() // 1_000_000
    chosen = rig.choose_variables(model, url, [], now_ms=now_ms, choose=chosen_for(model))
    window = rig.window_of(model, {}, now_ms)
    panels = [panel for panel in model["panels"] if panel["gridPos"]["y"] + panel["gridPos"]["h"] <= rows]
    every = rig.questions({**model, "panels": panels}, chosen, now_ms=now_ms)
    asked = {key: list(group) for key, group in groupby(every, key=lambda one: one.panel.get("id"))}
    height = HEAD + rows * ROW + 10
    drawn = [svg.box(0, 0, WIDTH, height, "#111217", rx=0), *_head(model, chosen)]
    for panel in panels:
        title = fill(str(panel.get("title", "")), chosen, window)
        own = [one for one in asked.get(panel["id"], ()) if one.scoped == asked[panel["id"]][0].scoped]
        frames = [frame for one in own for frame in frames_of(rig.ask(url, one.question), one.target)]
        drawn += _panel(panel, title, shown_by(panel, frames), rig.window_of(model, panel, now_ms))
    body = "\n".join(one for one in drawn if one)
    size = f'viewBox="0 0 {WIDTH} {height}" font-family="{svg.FONT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{body}\n</svg>\n'


def chosen_for(model: Mapping[str, Any]) -> Mapping[str, Chosen]:
    """Choose what somebody would look at who comes from the wall: the site of the newest alarm."""
    return {"site": "school-3"} if model["uid"] == "langyan-site" else {}


def _panel(panel: Mapping[str, Any], title: str, frames: list[Frame], window: Window) -> Iterator[str]:
    place = panel["gridPos"]
    x, y = place["x"] * WIDTH / COLUMNS + GAP / 2, HEAD + place["y"] * ROW
    w, h = place["w"] * WIDTH / COLUMNS - GAP, place["h"] * ROW - GAP
    if panel["type"] == "row":
        yield svg.text(x + 4, y + 20, f"▾ {title}", size=14, bold=True)
        return
    yield svg.box(x, y, w, h, "#181b1f", stroke="#26282e")
    yield svg.text(x + 10, y + 20, title, bold=True, room=w - 20)
    yield from draw(panel, frames, Box(x + 4, y + TITLE, w - 8, h - TITLE - 4, window.from_ms, window.to_ms))


def _head(model: Mapping[str, Any], chosen: Mapping[str, Chosen]) -> Iterator[str]:
    yield svg.text(14, 28, str(model["title"]), size=18, bold=True)
    note = "Drawn by Langyan from answers of a real InfluxDB to the dashboard's questions; made-up data, not Grafana."
    yield svg.text(WIDTH - 14, 28, note, size=12, fill=svg.DIM, anchor="end")
    x = 14.0
    for variable in model.get("templating", {}).get("list", ()):
        value = chosen[variable["name"]]
        current = (variable.get("current") or {}).get("text")
        shown = current if isinstance(current, str) and current else value
        words = f"{variable.get('label') or variable['name']}  " + (shown if isinstance(shown, str) else "All")
        width = svg.width_of(words) * 13 + 24
        yield svg.box(x, 46, width, 28, "#181b1f", stroke="#383a42")
        yield svg.text(x + 12, 65, words, size=13)
        x += width + 10


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:2])))
