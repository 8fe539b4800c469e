"""One conversation with its line: what was said is taken, answers go out, and nothing is acknowledged too early."""

from collections.abc import Callable, Iterable
from functools import partial
from time import monotonic

from device_profiles.speech.said import Moment, Said, Speech
from edge.push.intake import Intake


class Conversation:
    """A conversation on one line, connection or peer.

    Attributes:
        hangs_up: it wants the connection to be closed.
        is_known: a device of the site has said something.
        understood_at: when one last did; when it began before that, monotonic seconds.
    """

    def __init__(
        self,
        speech: Speech,
        intake: Intake,
        *,
        send: Callable[[bytes], None],
        wall_us: Callable[[], int | None],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """Prepare.

        Args:
            speech: fresh.
            intake: the bus's.
            send: takes bytes to be sent; must not wait.
            wall_us: tells the wall time, None while nobody knows it.
            wake: told when something else than `hear` and `tick` has changed it; must not wait.
        """
        self.hangs_up = self.is_known = False
        self.understood_at = monotonic()
        self._speech, self._intake, self._send, self._wall_us, self._wake = speech, intake, send, wall_us, wake
        self._is_open = True

    def open(self) -> None:
        """Begin."""
        moment = self._moment()
        self._take(self._speech.open(moment), moment)

    def hear(self, data: bytes) -> None:
        """Take what came."""
        moment = self._moment()
        self._take(self._speech.hear(data, moment), moment)

    def tick(self) -> float | None:
        """Look at the clock, if it is time to; tells when to do so again, monotonic seconds."""
        due_at = self._speech.next_at()
        if due_at is None or due_at > monotonic():
            return due_at
        moment = self._moment()
        self._take(self._speech.tick(moment), moment)
        return self._speech.next_at()

    def close(self) -> None:
        """End: what is kept from now on nobody waits for any more."""
        self._is_open = False

    def _take(self, saids: Iterable[Said], moment: Moment) -> None:
        for said in saids:
            since = self._intake.keeper.mark()
            are_known = [self._intake.take(heard, moment) for heard in said.heard]
            if any(are_known):
                self.is_known, self.understood_at = True, moment.now
            if said.refused:
                self._intake.refuse(said, moment)
            if said.send:
                self._send(said.send)
            self.hangs_up = self.hangs_up or said.hang_up
            if said.token is not None:
                kept = partial(self._kept, said.token)
                # What a stranger said is not kept.
                if all(are_known):
                    self._intake.keeper.when_kept(kept, since=since)
                else:
                    kept(False)

    def _kept(self, token: int, is_kept: bool) -> None:  # noqa: FBT001 - the keeper's signature
        is_kept = is_kept and self._is_open
        self._intake.note_kept(is_kept=is_kept)
        if is_kept:
            moment = self._moment()
            self._take(self._speech.kept(token, moment), moment)
            self._wake()

    def _moment(self) -> Moment:
        return Moment(monotonic(), self._wall_us())
