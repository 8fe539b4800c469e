"""Rules: from readings to alarms, and to outputs that are switched on the spot. Pure."""

from edge.rules.judge import Judge, UnknownSourceError
from edge.rules.modes import DeviceMode, ModeRefusedError, ModeState, read_modes
from edge.rules.outputs import Action
from edge.rules.standing import Standing, read_standings
from edge.rules.turn import NOTHING, Judged

__all__ = [
    "NOTHING",
    "Action",
    "DeviceMode",
    "Judge",
    "Judged",
    "ModeRefusedError",
    "ModeState",
    "Standing",
    "UnknownSourceError",
    "read_modes",
    "read_standings",
]
