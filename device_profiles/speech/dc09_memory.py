"""What outlives a connection of DC-09: which messages of each host were taken, so that a repeat is no second alarm.

A host that gets no answer says the same again with the same sequence number, often on a new connection. But numbers
prove little: hosts begin anew with 0001 when they are switched on, and some never count. No press may be taken for a
repeat, so it must be certain; a press said twice is only triggered again.

Pure.
"""

from collections import OrderedDict

from msgspec import Struct

from device_profiles.speech.dc09_crypto import Cipher

REPEAT_S = 600.0
"""So long a message with the same number and data is a repeat, from a host that counts."""
PENDING_S = 15.0
"""So long one that is not on the disk yet keeps its repeats silent; then its connection is gone, or its gateway ill."""
MAX_REMEMBERED = 32
"""Messages remembered of each host."""

MAX_STRANGERS = 16
STRANGERS_S = 3600.0
"""So many unknown accounts are told by name within such a time; who tries them all out must not fill the alarm list."""

_NO_NUMBER = "0000"


class Place(Struct, frozen=True):
    """What tells one message from another.

    Attributes:
        address: the host.
        sequence: as written.
        digest: of what it says, without time and pad.
        stamp: its time as written.
    """

    address: str
    sequence: str
    digest: bytes
    stamp: bytes


class Recalled(Struct, frozen=True):
    """What is known of a message: nothing, or that it waits for the disk, is taken, or comes again much too late."""

    place: Place
    is_pending: bool = False
    is_kept: bool = False
    is_late: bool = False


class _Taken(Struct):
    """A message that was taken: since when it waits, since when it is on the disk."""

    stamp: bytes
    begun: float
    kept: float | None = None


class _Memory:
    """What is remembered of one host."""

    __slots__ = ("clock_goes", "counts", "digest", "sequence", "stamp", "taken")

    def __init__(self) -> None:
        self.taken: OrderedDict[tuple[str, bytes], _Taken] = OrderedDict()
        self.sequence = ""
        self.digest = b""
        self.stamp = b""
        self.counts = True
        self.clock_goes = False

    def see(self, place: Place) -> None:
        """Learn from a message whether the host counts and has a clock.

        Two different ones with one number say that it does not count; two times that differ, that its clock goes.
        """
        if place.stamp:
            self.clock_goes = self.clock_goes or self.stamp not in (b"", place.stamp)
            self.stamp = place.stamp
        # Many test their link with 0000 and count their events.
        if place.sequence == _NO_NUMBER:
            return
        if place.sequence != self.sequence:
            self.counts = self.counts or self.sequence != ""
        elif place.digest != self.digest:
            self.counts = False
        self.sequence, self.digest = place.sequence, place.digest


class Dc09Shared:
    """The memory that all connections of one bus share; bounded by the number of hosts."""

    def __init__(self) -> None:
        """Begin with nothing known."""
        self._hosts: dict[str, _Memory] = {}
        self._ciphers: dict[bytes, Cipher] = {}
        self._strangers: set[str] = set()
        self._strangers_since = 0.0

    def stranger(self, account: str, now: float) -> str:
        """Say that an account is not in the site file."""
        if now - self._strangers_since >= STRANGERS_S:
            self._strangers.clear()
            self._strangers_since = now
        if len(self._strangers) < MAX_STRANGERS:
            self._strangers.add(account)
        name = f"account {account or '(none)'}" if account in self._strangers else "one account more"
        return f"{name} is not in the site file"

    def cipher(self, secret: bytes) -> Cipher:
        """Give the cipher of a key, made once.

        Raises:
            KeyFaultError: it cannot be used.
        """
        if secret not in self._ciphers:
            self._ciphers[secret] = Cipher(secret)
        return self._ciphers[secret]

    def link_test(self, place: Place) -> None:
        """Learn from a message that says nothing how the host counts."""
        self._host(place.address).see(place)

    def recall(self, place: Place, now: float) -> Recalled:
        """Say what is known of a message; `now` in monotonic seconds."""
        memory = self._host(place.address)
        memory.see(place)
        known = memory.taken.get((place.sequence, place.digest))
        if known is None:
            return Recalled(place)
        if known.kept is None:
            return Recalled(place, is_pending=now - known.begun < PENDING_S)
        is_same_time = memory.clock_goes and place.stamp == known.stamp != b""
        if now - known.kept >= REPEAT_S:
            return Recalled(place, is_late=is_same_time)
        return Recalled(place, is_kept=is_same_time or (memory.counts and place.sequence != _NO_NUMBER))

    def begin(self, place: Place, now: float) -> None:
        """Remember a message that goes to the disk."""
        taken = self._host(place.address).taken
        taken[place.sequence, place.digest] = _Taken(place.stamp, now)
        taken.move_to_end((place.sequence, place.digest))
        if len(taken) > MAX_REMEMBERED:
            taken.popitem(last=False)

    def keep(self, place: Place, now: float) -> None:
        """Remember that a message is on the disk."""
        known = self._host(place.address).taken.get((place.sequence, place.digest))
        if known is not None and known.kept is None:
            known.kept = now

    def _host(self, address: str) -> _Memory:
        return self._hosts.setdefault(address, _Memory())
