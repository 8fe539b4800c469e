"""Bike watch: whose tag is where, which is armed, and what became of a stolen one."""
