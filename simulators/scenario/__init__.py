"""Scenarios: simulated sites, what befalls them, and what must come of it. Pure: no process, no socket, no clock."""
