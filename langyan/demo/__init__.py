"""The demo: three simulated sites, real servers, a story with an outage, and a count of what arrived."""
