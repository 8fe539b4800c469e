"""Simulated devices that speak by themselves: one pure talker per kind, with encoders of their own."""
