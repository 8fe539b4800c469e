"""The `[state]` table of the settings file."""

from typing import Annotated

from msgspec import Meta, Struct

Every = Annotated[float, Meta(gt=0, le=86_400)]


class State(Struct, frozen=True, forbid_unknown_fields=True):
    """How often the present state is written to InfluxDB while nothing changes; a change is written at once.

    Attributes:
        alarms_s: open alarms.
        areas_s: areas and sites.
        gateways_s: gateways.
        devices_s: devices, spread over that time.
        vehicles_s: vehicles that were heard meanwhile.
        profiles: folder with device profiles of one's own, by which kinds of devices are told; beside the settings
            file, "" none.
    """

    alarms_s: Every = 15.0
    areas_s: Every = 300.0
    gateways_s: Every = 60.0
    devices_s: Every = 3_600.0
    vehicles_s: Every = 30.0
    profiles: str = ""
