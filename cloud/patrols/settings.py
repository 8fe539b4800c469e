"""Settings: patrols."""

from msgspec import Struct


class Patrols(Struct, frozen=True, forbid_unknown_fields=True):
    """Patrols."""
