"""Draw docs/demo.svg: the demo's screen while the broker is gone. Plays the story to there, on real servers."""

import io
import re
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from langyan.demo.run import sleep_until, view
from langyan.demo.screen import Screen
from langyan.demo.sites import write_sites
from langyan.demo.stage import Stage
from langyan.demo.story import Pressed, plan

PICTURE = Path(__file__).parent.parent / "docs" / "demo.svg"
SECONDS = 40.0
WIDTH, HEIGHT = 118, 34


def main() -> int:
    """Play until the press in the outage has reached the outbox, then draw."""
    screen, pressed = Screen(), list[Pressed]()
    with (
        TemporaryDirectory(prefix="langyan-picture-") as folder,
        Stage(Path(folder), write_sites, trades=True) as stage,
    ):
        started = time.monotonic()
        for scene in plan(stage, SECONDS):
            sleep_until(started + scene.at_s)
            pressed += scene.act()
            screen.draw(view(stage, scene.title, scene.at_s, SECONDS, pressed), height=HEIGHT)
            if any(press.in_outage for press in pressed):
                break
        sleep_until(time.monotonic() + 3.0)
        last = view(stage, scene.title, time.monotonic() - started, SECONDS, pressed)
        console = Console(record=True, width=WIDTH, height=HEIGHT, file=io.StringIO())
        console.print(screen.draw(last, height=HEIGHT))
    # Rich's own template fetches its font from elsewhere; a reader's monospace font will do.
    drawn = re.sub(r"@font-face \{.*?\}\s*", "", console.export_svg(title="langyan demo"), flags=re.DOTALL)
    PICTURE.write_text(drawn, encoding="utf-8")
    print(f"drawn: {PICTURE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
