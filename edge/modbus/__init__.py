"""Modbus without a socket, clock, task or log: bytes in, answers out."""
