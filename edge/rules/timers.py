"""What is to be looked at again, and when: a heap in which a newer time for the same key takes the place of the old."""

import heapq
from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)

# So many entries that no longer hold may stay in the heap before it is made anew.
_STALE = 64


class Timers(Generic[Key]):
    """At most one time a key; monotonic seconds."""

    def __init__(self) -> None:
        self._at: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._count = 0

    def put(self, key: Key, at: float | None) -> None:
        """Look at `key` again at that time; None: no more."""
        if at is None:
            self._at.pop(key, None)
            return
        if self._at.get(key) == at:
            return
        self._at[key] = at
        self._push(key, at)
        if len(self._heap) > 2 * len(self._at) + _STALE:
            self._heap = []
            for one, when in self._at.items():
                self._push(one, when)

    def next_at(self) -> float | None:
        """Tell when the next key is due; None when nothing waits."""
        while self._heap and self._at.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, now: float) -> Iterator[Key]:
        """Give and forget each key whose time has come, also what is put for now or earlier meanwhile."""
        while (at := self.next_at()) is not None and at <= now:
            key = heapq.heappop(self._heap)[2]
            del self._at[key]
            yield key

    def _push(self, key: Key, at: float) -> None:
        # Keys need not compare: the running number parts those of one time.
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, key))
