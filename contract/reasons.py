"""Words in the reasons of results that the cloud acts upon: a gateway says them so, and other words are for people."""

import re
from typing import Final

HEARS_NO_TAGS: Final = "no device of this gateway hears tags"
"""How the refusal of a tag order begins where nobody can carry it out."""
KNOWS_NO_TIME: Final = "the gateway does not know the time yet"
"""How the refusal begins of a gateway that was just started, without a clock of its own."""
TOO_MANY_WAIT: Final = "too many commands wait"
"""How the refusal begins of a gateway that has enough to do."""

_MAX_VERSION = 10**15 - 1
_VERSION = re.compile(r"\bversion (\d{1,15})\b")


def is_passing(reason: str) -> bool:
    """Tell whether what was refused for this may be done in a while."""
    return reason.startswith((KNOWS_NO_TIME, TOO_MANY_WAIT))


def highest_version(reason: str) -> int:
    """Find the highest version of a stolen list that a reason names; 0 when it names none.

    A gateway that has, or is being given, a list of a higher version than the one sent names it.
    """
    return min(max(map(int, _VERSION.findall(reason)), default=0), _MAX_VERSION)
