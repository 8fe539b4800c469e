"""Simulated devices whose profile declares a grammar: which device is made by what. Pure."""

import random
from collections.abc import Callable, Mapping

from device_profiles.site import PlacedDevice
from simulators.errors import SimulatorError
from simulators.talkers.lines import LineTalker, Parts
from simulators.talkers.panels import Ad2Talker, RadioButtonTalker
from simulators.talkers.readers import CardReaderTalker, IgsTalker, WristbandTalker
from simulators.talkers.sensors import GpsTalker, PlantowerTalker, Sds011Talker, WindTalker

_MADE_BY: Mapping[str, Callable[[Parts], LineTalker]] = {
    "alarmdecoder/ad2": Ad2Talker,
    "generic/nmea-gps": GpsTalker,
    "generic/rdm6300": CardReaderTalker,
    "gill/windsonic": WindTalker,
    "ingics/igs": IgsTalker,
    "nova/sds011": Sds011Talker,
    "plantower/pms5003": PlantowerTalker,
    "scantech/rft500": WristbandTalker,
    "sonoff/rf-bridge": RadioButtonTalker,
}


def make_talker(placed: PlacedDevice, *, secret: bytes, seed: int, wall_us: Callable[[], int]) -> LineTalker:
    """Make the talker of one device.

    Args:
        placed: as the site file has it.
        secret: none of these devices has one.
        seed: the same one makes the same device say the same.
        wall_us: its clock, microseconds UTC.

    Raises:
        SimulatorError: nobody has written a talker for its profile.
    """
    del secret
    make = _MADE_BY.get(placed.profile.profile)
    if make is None:
        known = ", ".join(_MADE_BY)
        raise SimulatorError(
            f"device {placed.device.id!r}: {placed.profile.profile} is not simulated; there are {known}"
        )
    return make(Parts(placed.device, random.Random(seed), wall_us))  # noqa: S311 - a simulation, not a secret
