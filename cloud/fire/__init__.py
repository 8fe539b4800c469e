"""Fire danger from the weather, and fires found by towers together."""
