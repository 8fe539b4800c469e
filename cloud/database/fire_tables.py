"""The tables of fire danger: stations, their days and their state."""
