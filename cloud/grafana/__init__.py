"""Dashboards for Grafana, and what Grafana is told: built from the profiles and from what InfluxDB has."""
