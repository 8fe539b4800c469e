"""The tests; one folder a package."""
