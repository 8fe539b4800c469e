"""Firmware images, signatures, flashing and bus tools."""
