"""Where a tag is and was, from what stations of many gateways say of it: any order, delay and repetition alike. Pure.

What is said of a tag within `Rules.late_us` is kept as it was said, in the order of its moments. Stays follow from that
order alone, so that it does not matter when it came. What is older is folded into one state and no longer changes.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable
from enum import IntEnum

import msgspec
from msgspec import Struct

MOST = 2_000
"""So many words of a tag are kept at most; beyond it the oldest become final before their time."""


class Word(IntEnum):
    """What a station says; in the order in which words of one moment count: who leaves goes before who comes. Stored.

    A gateway says `alive`, `low-battery` and `pressed` of what it has said to be there before.
    """

    LEFT = 0
    STAYS = 1
    CAME = 2


class Said(Struct, frozen=True, array_like=True, order=True, gc=False):
    """One word of one station; `at_us` by its gateway's clock."""

    at_us: int
    word: int
    station: int


class Stay(Struct, frozen=True, array_like=True, gc=False):
    """A tag was at a station; `until_us` None: it is."""

    from_us: int
    until_us: int | None
    station: int


class Cloned(Struct, frozen=True):
    """A tag was at two places at once: heard at `there`, and at `here` at `at_us`, where it cannot have come."""

    at_us: int
    there: int
    here: int


class State(Struct, frozen=True, array_like=True, gc=False):
    """What is known after some words.

    Attributes:
        station: where it is; None: nowhere.
        since_us: it came there.
        heard_us: that station has heard it last.
        last: the station that heard it last of all; None: none.
        last_us: when.
        leap_us: when it was last where it cannot have come.
    """

    station: int | None = None
    since_us: int = 0
    heard_us: int = 0
    last: int | None = None
    last_us: int = 0
    leap_us: int | None = None


NOWHERE = State()


class Life(Struct, frozen=True, array_like=True, gc=False):
    """What is kept of a tag.

    Attributes:
        base: the state after all words that are final.
        final_us: what is not later than this is final.
        words: later ones, ascending, none twice.
        head: the state after them.
    """

    base: State = NOWHERE
    final_us: int = 0
    words: tuple[Said, ...] = ()
    head: State = NOWHERE


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Life)


def write_life(life: Life) -> bytes:
    """Write it for the table `bike_tag`."""
    return _encoder.encode(life)


def read_life(data: bytes) -> Life:
    """Read what `write_life` has written."""
    return _decoder.decode(data)


class Rules(Struct, frozen=True):
    """What stays follow from.

    Attributes:
        late_us: words so much before the latest still count.
        silent_us: a station that says that a tag came, so long after it heard it last, has not heard it in between.
        leaps: tells whether nobody can have come from one station to another in so many microseconds.
        leap_within_us: two leaps so close together are a clone; one alone is a clock that was set.
    """

    late_us: int
    silent_us: int
    leaps: Callable[[int, int, int], bool] = lambda _one, _other, _within_us: False
    leap_within_us: int = 3_600_000_000


class Changes(Struct):
    """What some words have changed.

    Attributes:
        written: stays that are new, or not as they were; by `from_us`.
        gone: the beginnings of stays that have never been.
        cloned: what is new of it.
        came: how many stays are new.
        late: words that came too late to count.
    """

    written: dict[int, Stay]
    gone: set[int]
    cloned: list[Cloned]
    came: int = 0
    late: int = 0


def live(life: Life, said: Iterable[Said], rules: Rules) -> tuple[Life, Changes]:
    """Take words, in any order and any number of times.

    Returns:
        What is kept then, and what has changed of the stays since.
    """
    fresh = sorted(set(said))
    late = sum(1 for one in fresh if one.at_us <= life.final_us)
    fresh = [one for one in fresh if one.at_us > life.final_us and not _knows(life.words, one)]
    changes = Changes({}, set(), [], late=late)
    if not fresh:
        return life, changes
    if not life.words or fresh[0] > life.words[-1]:
        words = (*life.words, *fresh)
        head = _follow(life.head, fresh, rules, changes.written, changes.cloned)
        changes.came = sum(1 for one in changes.written if one != life.head.since_us or life.head.station is None)
    else:
        words = tuple(sorted((*life.words, *fresh)))
        head = _again(life, words, rules, changes)
    return _settled(Life(life.base, life.final_us, words, head), rules), changes


def stays_of(life: Life, rules: Rules) -> list[Stay]:
    """Tell the stays that words which are not final make, the one that lasted before them among them."""
    base, written = life.base, dict[int, Stay]()
    if base.station is not None:
        written[base.since_us] = Stay(base.since_us, None, base.station)
    _follow(base, life.words, rules, written, [])
    return [written[key] for key in sorted(written)]


def step(state: State, one: Said, rules: Rules, written: dict[int, Stay], cloned: list[Cloned]) -> State:
    """Follow one word, which is not before those that led to `state`.

    Args:
        state: so far.
        one: the word.
        rules: see there.
        written: the stays that begin or end by it are put here.
        cloned: what is found out of it is put here.
    """
    at_us, word, station = one.at_us, one.word, one.station
    if word == Word.LEFT:
        if state.station != station:
            return state
        _close(state, at_us, written)
        return State(None, 0, 0, state.last, state.last_us, state.leap_us)
    leap_us = state.leap_us
    if state.last is not None and state.last != station and rules.leaps(state.last, station, at_us - state.last_us):
        if leap_us is not None and at_us - leap_us <= rules.leap_within_us:
            cloned.append(Cloned(at_us, state.last, station))
        leap_us = at_us
    since_us, heard_us, place = state.since_us, at_us, station
    if state.station is None:
        since_us = _open(at_us, station, written)
    elif state.station == station:
        if word == Word.CAME and at_us - state.heard_us > rules.silent_us:
            _close(state, state.heard_us, written)
            since_us = _open(at_us, station, written)
    elif word == Word.CAME or at_us - state.heard_us > rules.silent_us:
        # Whom its station has not heard for long has left it then; else it has been there until it came elsewhere.
        is_silent = at_us - state.heard_us > rules.silent_us
        _close(state, state.heard_us if is_silent else at_us, written)
        since_us = _open(at_us, station, written)
    else:
        # Two stations hear it; who has heard it come has it.
        since_us, heard_us, place = state.since_us, state.heard_us, state.station
    return State(place, since_us, heard_us, station, at_us, leap_us)


def _open(at_us: int, station: int, written: dict[int, Stay]) -> int:
    written[at_us] = Stay(at_us, None, station)
    return at_us


def _close(state: State, until_us: int, written: dict[int, Stay]) -> None:
    assert state.station is not None  # noqa: S101 - who is nowhere leaves nothing
    written[state.since_us] = Stay(state.since_us, max(until_us, state.since_us), state.station)


def _follow(state: State, words: Iterable[Said], rules: Rules, written: dict[int, Stay], cloned: list[Cloned]) -> State:
    for one in words:
        state = step(state, one, rules, written, cloned)
    return state


def _again(life: Life, words: tuple[Said, ...], rules: Rules, changes: Changes) -> State:
    """Follow all words anew because some came late, and tell what is not as it was."""
    before: dict[int, Stay] = {}
    known: list[Cloned] = []
    _follow(life.base, life.words, rules, before, known)
    after: dict[int, Stay] = {}
    cloned: list[Cloned] = []
    head = _follow(life.base, words, rules, after, cloned)
    base = life.base
    if base.station is not None:
        # The stay that lasts from before may be ended in the one and last in the other.
        lasting = Stay(base.since_us, None, base.station)
        before.setdefault(base.since_us, lasting)
        after.setdefault(base.since_us, lasting)
    changes.written = {key: stay for key, stay in after.items() if before.get(key) != stay}
    changes.gone = before.keys() - after.keys()
    changes.cloned = [one for one in cloned if one not in known]
    changes.came = len(after.keys() - before.keys())
    return head


def _settled(life: Life, rules: Rules) -> Life:
    """Let what is old become final."""
    words = life.words
    final_us = words[-1].at_us - rules.late_us
    if len(words) > MOST:
        final_us = max(final_us, words[-MOST - 1].at_us)
    # Not for each word alone: a day's are dropped at once.
    if words[0].at_us > final_us or (words[0].at_us > final_us - rules.late_us // 8 and len(words) <= MOST):
        return life
    cut = bisect_left(words, Said(final_us + 1, 0, 0))
    base = _follow(life.base, words[:cut], rules, {}, [])
    return Life(base, final_us, words[cut:], life.head)


def _knows(words: tuple[Said, ...], one: Said) -> bool:
    if not words or one > words[-1]:
        return False
    at = bisect_left(words, one)
    return words[at] == one
