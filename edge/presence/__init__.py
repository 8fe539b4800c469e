"""Presence: tags that readers hear, from sightings to who is where, moved, left, or was stolen."""

from edge.presence.found import NOTHING, Found
from edge.presence.keeping import TagKeeper, make_presence, make_tags
from edge.presence.presence import Changes, Counts, Kept, Presence

__all__ = [
    "NOTHING",
    "Changes",
    "Counts",
    "Found",
    "Kept",
    "Presence",
    "TagKeeper",
    "make_presence",
    "make_tags",
]
