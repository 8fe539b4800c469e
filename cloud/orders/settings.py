"""Settings: orders to gateways."""

from msgspec import Struct


class Orders(Struct, frozen=True, forbid_unknown_fields=True):
    """Orders to gateways."""
