"""Times of day of a scenario's story, and the seconds of the clock they are. Pure."""

import re

from simulators.scenario.model import Head

_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
_DAY_S = 86_400


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
