"""What is wrong with a file that people write: every fault with file, line, key and what is allowed."""

from collections.abc import Callable, Iterable
from difflib import get_close_matches

from msgspec import Struct


def N_(text: str) -> str:  # noqa: N802 - the name gettext extraction looks for
    """Mark a literal template for translation; it is translated where it is shown."""
    return text


class Fault(Struct, frozen=True):
    """One thing to mend in one file.

    Attributes:
        file: the file's name as the caller gave it.
        key: where in the file, `device[2] "gate-button".unit`; tables are counted from 1; empty for the whole file.
        line: line number from 1, where it could be told.
        text: English template with `{placeholders}`, a literal marked with `N_`.
        args: what stands for the placeholders.
    """

    file: str
    key: str
    line: int | None
    text: str
    args: dict[str, str] = {}

    def render(self, translate: Callable[[str], str] = str) -> str:
        """Write `file:line: key: text`, the template translated before it is filled."""
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        said = translate(self.text).format(**self.args)
        return f"{place}: {self.key}: {said}" if self.key else f"{place}: {said}"

    def __str__(self) -> str:
        return self.render()


class DeviceProfilesError(Exception):
    """Root of every error raised by the device_profiles package."""


class ConfigError(DeviceProfilesError):
    """A profile or site file cannot be used; `faults` lists everything to mend, not only the first."""

    hint = "Mend the lines named; nothing was started."

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


class UnknownProfileError(ConfigError):
    """No profile of that id is in the catalogue or in the extra folder."""

    hint = "The fault lists the profiles there are; a new device is one TOML file."


class CodecError(DeviceProfilesError):
    """A value cannot be written into a point's registers, or a block is shorter than its points.

    Attributes:
        point: key of the point.
    """

    def __init__(self, point: str, why: str) -> None:
        super().__init__(f"point {point!r}: {why}")
        self.point = point


def near(word: str, known: Iterable[str]) -> str:
    """Name the known words that look like `word`, best first and comma-separated; empty when none does."""
    names = list(known)
    found = get_close_matches(word[:200].casefold(), {name.casefold() for name in names}, n=3, cutoff=0.6)
    return ", ".join(name for fold in found for name in names if name.casefold() == fold)


def listed(words: Iterable[object]) -> str:
    """Join words with commas, as faults list what is allowed; a dash when there are none."""
    return ", ".join(str(word) for word in words) or "-"


def shown(value: object) -> str:
    """Write a value from a file short enough for one line."""
    huge_bits = 256
    if isinstance(value, int) and value.bit_length() > huge_bits:
        return "a number of over 70 digits"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a table"
    text = one_line(value) if isinstance(value, str) else str(value)
    limit = 60
    text = text if len(text) <= limit else f"{text[:limit]}..."
    return f'"{text}"' if isinstance(value, str) else text


def one_line(text: str) -> str:
    """Write characters that do not print, line ends among them, as escapes: a fault is one line."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
