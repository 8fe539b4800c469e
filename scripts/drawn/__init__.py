"""Dashboards as SVG, for the docs: drawn from their own settings and from answers of a database."""
