"""Telling people and other programs: what is queued is sent, tried again, and noted."""
