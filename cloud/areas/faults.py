"""What is wrong with files that were given: each fault with its place, and never more of them than anybody reads."""

from typing import Any

from msgspec import Struct, field

from cloud.errors import CloudError
from cloud.i18n import ENGLISH, translate_to

MAX_TOLD = 100


class Where(Struct, frozen=True):
    """A place in a file.

    Attributes:
        file: its name as it was given.
        line: from 1; 0: the file as a whole.
        feature: of a GeoJSON file, whose lines may be long, from 1; 0: no feature.
    """

    file: str
    line: int = 0
    feature: int = 0

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return f"{place} #{self.feature}" if self.feature else place


class Bad(Struct, frozen=True):
    """What is wrong with one value, instead of the value.

    Attributes:
        text: in the words of the code, with `{name}` for each of `values`.
        values: what stands there instead.
    """

    text: str
    values: dict[str, Any] = field(default_factory=dict)


class Fault(Struct, frozen=True):
    """One fault; `column` is the faulty one's name, "" when the row or the file is meant."""

    where: Where
    bad: Bad
    column: str = ""

    def told(self, language: str = ENGLISH) -> str:
        """Say where and what, in a language of `cloud.i18n`."""
        place = f"{self.where}: {self.column}" if self.column else f"{self.where}"
        return f"{place}: {translate_to(language, self.bad.text).format(**self.bad.values)}"


class ImportRefusedError(CloudError):
    """Files were refused as a whole; nothing was changed.

    Attributes:
        faults: the first `MAX_TOLD`, by file and line.
        count: of all.
    """

    hint = "Mend every fault and import again; nothing was changed."

    def __init__(self, faults: tuple[Fault, ...], count: int) -> None:
        super().__init__("\n".join([*(fault.told() for fault in faults), f"{count} fault(s)"]))
        self.faults = faults
        self.count = count


class Faults:
    """Collects faults, counts all and keeps the first `MAX_TOLD`.

    Attributes:
        count: of all.
        is_blind: a file could not be read to its end; what refers to it is not worth a fault.
    """

    def __init__(self) -> None:
        self._kept: list[Fault] = []
        self.count = 0
        self.is_blind = False

    def lose(self, where: Where, text: str, **values: Any) -> None:
        """Note a fault after which a file, or the rest of it, cannot be read; see `Bad`."""
        self.is_blind = True
        self.add(where, text, **values)

    def add(self, where: Where, text: str, **values: Any) -> None:
        """Note a fault; see `Bad`."""
        self.note(Fault(where, Bad(text, values)))

    def note(self, fault: Fault) -> None:
        """Note a fault."""
        self.count += 1
        if len(self._kept) < MAX_TOLD:
            self._kept.append(fault)

    def settle(self) -> None:
        """Go on when there is none.

        Raises:
            ImportRefusedError: with all of them.
        """
        if self.count:
            kept = sorted(self._kept, key=lambda fault: (fault.where.file, fault.where.line, fault.where.feature))
            raise ImportRefusedError(tuple(kept), self.count)
