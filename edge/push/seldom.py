"""What would be said a thousand times a second, said seldom. Pure."""

from collections import OrderedDict
from collections.abc import Hashable

# Devices and reasons are few; should there be more, who is forgotten is said anew.
MAX_KEYS = 4096


class Seldom:
    """Tells of each key whether it is time to say it again."""

    def __init__(self, every_s: float) -> None:
        """Say each key at most once in so many seconds."""
        self._every_s = every_s
        self._said_at: OrderedDict[Hashable, float] = OrderedDict()

    def is_due(self, key: Hashable, now: float) -> bool:
        """Tell whether to say it now; if so, it counts as said."""
        said_at = self._said_at.get(key)
        if said_at is not None and now - said_at < self._every_s:
            return False
        self._said_at[key] = now
        self._said_at.move_to_end(key)
        if len(self._said_at) > MAX_KEYS:
            self._said_at.popitem(last=False)
        return True
