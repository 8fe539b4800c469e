"""Settings: fire danger and fire detection."""

from msgspec import Struct


class Fire(Struct, frozen=True, forbid_unknown_fields=True):
    """Fire danger and fire detection."""
