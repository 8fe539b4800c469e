"""Errors of the gateway, sorted by who can mend them."""


class EdgeError(Exception):
    """Root of every error raised by the edge package.

    Attributes:
        hint: what the person on site can do.
    """

    hint = ""


class LinkDownError(EdgeError):
    """The port or connection of a bus cannot be opened, or vanished."""

    hint = "Check the cable, the port's name in the site file, and that no other program holds the port."


class LinkTimeoutError(EdgeError):
    """A unit did not answer in time."""

    hint = "Check power, unit id, baud and A/B wiring of the device."


class FrameError(EdgeError):
    """The line carried bytes that are not the answer we asked for."""

    hint = "Check A/B polarity, end resistor and baud; two devices may share a unit id."


class DeviceRefusedError(EdgeError):
    """The device answered with a Modbus exception code."""

    hint = "The profile may not fit this device or its firmware."

    def __init__(self, why: str, *, code: int) -> None:
        super().__init__(why)
        self.code = code


class StoreFullError(EdgeError):
    """The outbox cannot take more: the disk is full, or the room for alarms is used up."""

    hint = "Free space on the disk, or bring the uplink back."


class StoreUnusableError(EdgeError):
    """The outbox file cannot be opened or made at all."""

    hint = "The folder must exist and be writable for the gateway's user; see outbox.path in the site file."


class StoreInUseError(StoreUnusableError):
    """Another running gateway has this outbox."""

    hint = "Stop the other gateway, or give this one an outbox.path of its own."


class CommandError(EdgeError):
    """A command that was not carried out, or not proven to be."""


class UnknownPointError(CommandError):
    """The command names a device or point that the site does not have."""

    hint = "`langyan edge check` lists the site's devices and points."


class NotWritableError(CommandError):
    """The point may not be written."""

    hint = "Only points that their profile calls writable can be written."


class BadCommandError(CommandError):
    """The value is not one that the point can hold."""

    hint = "See the point's type, range and words in its profile."


class BusBusyError(CommandError):
    """Too many commands wait for their turn on the bus."""

    hint = "Wait for their answers, and ask again."


class WriteExpiredError(CommandError):
    """The command's turn did not come in time; it was not sent."""

    hint = "The bus may be down or overloaded; `langyan edge status` tells."


class NotTakenError(CommandError):
    """The device answered, and yet the point reads back as something else."""

    hint = "The device may be in a local or locked mode, or its profile may not fit."


class NoTagsError(CommandError):
    """An order about tags came to a gateway that hears none."""

    hint = "Send it to the gateways with tag readers."


class StolenListError(CommandError):
    """A part of a stolen list that does not fit; the list in force stays."""

    hint = "Send the whole list with a newer version."
