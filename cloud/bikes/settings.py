"""Settings: bike watch."""

from msgspec import Struct


class Bikes(Struct, frozen=True, forbid_unknown_fields=True):
    """Bike watch."""
