"""The tables of vehicles: last positions, tracks and fences."""
