"""Reading a recording of a bus, for the commands that play one."""

from pathlib import Path

import typer

from device_profiles.recording import MAX_RECORDING_BYTES, Recording, RecordingError, read_recording
from langyan.commands.common import fail
from langyan.i18n import translate as _

RECORDING = typer.Argument(..., help=_("What `langyan edge capture` wrote."), metavar="FILE")


def load_recording(file: Path) -> Recording:
    """Read a recording.

    Raises:
        Exit: with status 1, after the reason has been printed.
    """
    try:
        with file.open("rb") as opened:
            # One byte more than allowed, so that a file that is too long is seen to be.
            return read_recording(opened.read(MAX_RECORDING_BYTES + 1))
    except OSError as error:
        raise fail([_("{path} cannot be read: {why}").format(path=file, why=error.strerror)], status=1) from error
    except RecordingError as error:
        raise fail([f"{file}: {error}", _(error.hint)], status=1) from error
