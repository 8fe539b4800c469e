"""Settings: vehicles."""

from msgspec import Struct


class Vehicles(Struct, frozen=True, forbid_unknown_fields=True):
    """Vehicles."""
