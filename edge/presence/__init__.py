"""Presence: tags that readers hear, from sightings to who is where, moved, left, or was stolen."""

from edge.presence.found import NOTHING, Found
from edge.presence.presence import Presence

__all__ = ["NOTHING", "Found", "Presence"]
