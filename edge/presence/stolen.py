"""The stolen list: put together from the parts that the cloud sends, in force when its checksum is right. Pure."""

from collections.abc import Mapping

from contract.limits import MAX_STOLEN
from contract.tags import StolenPart, checksum_of
from edge.errors import StolenListError


class StolenList:
    """The tags that are stolen, with what is to be said of them.

    Attributes:
        version: of the list in force; 0 before the first.
        notes: by tag.
        is_changed: it has changed since it was last kept.
    """

    def __init__(self, version: int = 0, notes: Mapping[str, str] | None = None) -> None:
        """Take up what was kept."""
        self.version = version
        self.notes: dict[str, str] = dict(notes or {})
        self.is_changed = False
        self._checksum = checksum_of(self.notes)
        self._parts: dict[int, StolenPart] = {}

    def take(self, part: StolenPart) -> bool:
        """Take one part; parts may come in any order and twice, and those of a newer list take the place of older.

        Returns:
            Whether another list is in force now.

        Raises:
            StolenListError: the part fits neither the list in force nor the parts before it, or the list they make is
                too long or has another checksum; the list in force stays.
        """
        if (part.version, part.checksum) == (self.version, self._checksum):
            return False
        self._check(part)
        waiting = next(iter(self._parts.values()), None)
        if waiting is not None and waiting.version > part.version:
            raise StolenListError(f"version {waiting.version} is on its way; version {self.version} stays in force")
        if waiting is not None and _heading(waiting) != _heading(part):
            self._parts.clear()
        self._parts[part.part] = part
        if len(self._parts) < part.parts:
            return False
        parts, self._parts = self._parts, {}
        self._put_in_force(part, self._joined(parts, is_whole=part.base is None))
        return True

    def _check(self, part: StolenPart) -> None:
        if part.part > part.parts:
            raise StolenListError(f"part {part.part} of {part.parts}; version {self.version} stays in force")
        if part.version <= self.version:
            raise StolenListError(f"version {part.version} is not newer than version {self.version}, which is in force")
        if part.base is not None and part.base != self._checksum:
            raise StolenListError(f"it is a difference to another list than version {self.version}, which is in force")

    def _joined(self, parts: Mapping[int, StolenPart], *, is_whole: bool) -> dict[str, str]:
        joined = {} if is_whole else dict(self.notes)
        for part in parts.values():
            for tag in part.remove:
                joined.pop(tag, None)
        for part in parts.values():
            joined.update((entry.tag, entry.note) for entry in part.add)
        return joined

    def _put_in_force(self, part: StolenPart, notes: dict[str, str]) -> None:
        if len(notes) > MAX_STOLEN:
            raise StolenListError(f"{len(notes)} entries, at most {MAX_STOLEN}; version {self.version} stays in force")
        if checksum_of(notes) != part.checksum:
            raise StolenListError(f"its checksum is wrong; version {self.version} stays in force")
        self.version, self.notes, self._checksum, self.is_changed = part.version, notes, part.checksum, True


def _heading(part: StolenPart) -> tuple[int, str, str | None, int]:
    return part.version, part.checksum, part.base, part.parts
