"""Talkers by language. A language's module is read only when a site has such a device."""

from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import cast

from device_profiles.site import PlacedDevice
from simulators.errors import SimulatorError
from simulators.talkers.talker import Talker, TalkerMaker


def make_talker(placed: PlacedDevice, *, environ: Mapping[str, str], seed: int, wall_us: Callable[[], int]) -> Talker:
    """Make the talker of a device.

    Args:
        placed: as the site file has it.
        environ: has the device's key under the name that the site file gives.
        seed: the same one makes the same device.
        wall_us: its clock, microseconds UTC.

    Raises:
        SimulatorError: nobody has written a talker of its language, its profile cannot be simulated, or its key is
            missing.
    """
    device, speaks = placed.device, placed.profile.speaks
    if speaks is None:
        raise SimulatorError(f"device {device.id!r} does not speak by itself")
    module = f"simulators.talkers.{speaks.language.value}"
    if find_spec(module) is None:
        raise SimulatorError(f"device {device.id!r} speaks {speaks.language.value}, which is not simulated")
    if device.secret_env is not None and device.secret_env not in environ:
        raise SimulatorError(f"device {device.id!r}: environment variable {device.secret_env} with its key is not set")
    secret = environ[device.secret_env].encode() if device.secret_env is not None else b""
    make = cast("TalkerMaker", import_module(module).make_talker)
    return make(placed, secret=secret, seed=seed, wall_us=wall_us)
