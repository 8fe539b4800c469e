"""The root of the simulators' errors."""


class SimulatorError(Exception):
    """Something the simulator was asked for cannot be; the text says where, and what to do."""
