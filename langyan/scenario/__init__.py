"""Runs scenarios: simulated sites, real gateways, a real broker, and where asked for the whole cloud."""
