"""Vehicles: where they are, where they were, and where they should not be."""
