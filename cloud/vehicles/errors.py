"""Errors of what concerns vehicles."""

from cloud.errors import CloudError


class VehicleError(CloudError):
    """Root of what concerns vehicles."""


class UnknownVehicleError(VehicleError):
    """No vehicle of that id is registered, or not where one may look."""

    hint = "langyan vehicles list shows all."

    def __init__(self, vehicle: str) -> None:
        super().__init__(f"no vehicle is called {vehicle[:80]!r}")
        self.vehicle = vehicle


class UnknownFenceError(VehicleError):
    """No fence of that id is drawn, or not where one may look."""

    hint = "langyan vehicles fences list shows all."

    def __init__(self, fence: str) -> None:
        super().__init__(f"no fence is called {fence[:80]!r}")
        self.fence = fence


class BadFenceError(VehicleError):
    """A fence that holds nothing, or nobody."""

    hint = "A fence is a circle or an outline, for a vehicle, a group or an area; see docs/vehicles.md."


class TrackSpanError(VehicleError):
    """A track is asked for over a span of time that is none, or too long."""

    hint = "Give an end after the beginning, at most [vehicles] span_days later; ask for the rest in a second step."
