"""Simulated devices and buses, made from device profiles, with a control channel and honest counters."""
