"""Times of day of a scenario's story, the seconds of the clock they are, and the wall time it begins at. Pure."""

import re
from datetime import datetime

from simulators.scenario.model import Head

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_DAY_S = 86_400
_PLACE = re.compile(r"\{(begin|day)(?:([+-])(\d\d):([0-5]\d):([0-5]\d))?\}")


def parse_time(text: str) -> float | None:
    """Read a time of day as seconds since midnight; None when it is none."""
    found = _TIME.fullmatch(text)
    return None if found is None else int(found[1]) * 3600.0 + int(found[2]) * 60 + int(found[3] or 0)


def story_second(t: float | str, head: Head) -> float | None:
    """Tell how many seconds of the clock after the beginning `t` is; None when it is no time.

    A time of day is the next one after `begins`, and comes as much sooner as the story runs faster.
    """
    if not isinstance(t, str):
        return float(t)
    at, begins = parse_time(t), parse_time(head.begins)
    if at is None or begins is None:
        return None
    return ((at - begins) % _DAY_S) / head.speed


def has_places(text: str) -> bool:
    """Tell whether a text speaks of the moment at which the story begins."""
    return _PLACE.search(text) is not None


def fill(text: str, begin: datetime) -> str:
    """Write `{begin}` as the time of day, to the second, and `{day}` as the date at which the story begins.

    `{begin+00:00:20}` is twenty seconds after it, `{day-24:00:00}` the day before; both by the clock, not by the story.

    Args:
        text: anything; other braces stay.
        begin: with its time zone, in which it is written.
    """

    def write(found: re.Match[str]) -> str:
        off_s = int(found[3] or 0) * 3600 + int(found[4] or 0) * 60 + int(found[5] or 0)
        # Seconds that pass, whatever clocks are put to in between.
        moment = datetime.fromtimestamp(begin.timestamp() + (-off_s if found[2] == "-" else off_s), begin.tzinfo)
        return moment.strftime("%H:%M:%S" if found[1] == "begin" else "%Y-%m-%d")

    return _PLACE.sub(write, text)
