"""Promises are kept in their order, once, and only when everything before them is on the disk."""

from hypothesis import given
from hypothesis import strategies as st

from edge import promises as promises_module
from edge.promises import LONGEST_WAIT_S, Promises


class Book:
    """Promises, and what became of each."""

    def __init__(self) -> None:
        self.promises = Promises()
        self.told: dict[str, bool] = {}

    def add(self, name: str, *, events: int = 0, samples: int | None = None, breaks: int = 0, now: float = 0.0) -> None:
        def call(is_kept: bool) -> None:  # noqa: FBT001 - the keeper's signature
            assert name not in self.told
            self.told[name] = is_kept

        self.promises.add(call, events=events, samples=samples, breaks=breaks, now=now)

    def settle(self, *, events: int = 0, samples: int = 0, breaks: int = 0, now: float = 0.0) -> dict[str, bool]:
        self.promises.settle(events=events, samples=samples, breaks=breaks, now=now)
        return self.told


def test_an_alarm_does_not_wait_for_readings() -> None:
    book = Book()
    book.add("reading", events=0, samples=5)
    book.add("alarm", events=1)
    assert book.settle(events=0, samples=4) == {}
    assert book.settle(events=1, samples=4) == {"alarm": True}
    assert book.settle(events=1, samples=5) == {"alarm": True, "reading": True}
    assert len(book.promises) == 0


def test_who_said_both_waits_for_both() -> None:
    book = Book()
    book.add("both", events=1, samples=1)
    assert book.settle(events=1) == {}
    assert book.settle(samples=1) == {}
    assert book.settle(events=1, samples=1) == {"both": True}


def test_readings_that_the_disk_may_have_lost_are_not_acknowledged() -> None:
    book = Book()
    book.add("before", samples=1, breaks=0)
    book.add("after", samples=2, breaks=1)
    assert book.settle(samples=2, breaks=1) == {"before": False, "after": True}


def test_readings_in_memory_are_given_up_and_alarms_wait() -> None:
    book = Book()
    book.add("reading", samples=1)
    book.add("later", samples=2)
    book.add("alarm", events=1)
    book.promises.break_samples(1)
    assert book.told == {"reading": False}


def test_nobody_waits_for_ever() -> None:
    book = Book()
    book.add("a", events=1, now=10.0)
    assert book.settle(now=10.0 + LONGEST_WAIT_S - 0.1) == {}
    assert book.settle(now=10.0 + LONGEST_WAIT_S) == {"a": False}


@given(st.lists(st.tuples(st.booleans(), st.booleans()), max_size=40), st.data())
def test_it_is_kept_exactly_when_all_before_it_is_there(said: list[tuple[bool, bool]], data: st.DataObject) -> None:
    book, events, samples = Book(), 0, 0
    wanted: dict[str, tuple[int, int]] = {}
    for number, (is_alarm, is_reading) in enumerate(said):
        events += is_alarm
        samples += is_reading
        wanted[str(number)] = (events, samples if is_reading else 0)
        book.add(str(number), events=events, samples=samples if is_reading else None)
    there = (data.draw(st.integers(0, events)), data.draw(st.integers(0, samples)))
    told = book.settle(events=there[0], samples=there[1])
    assert told == {name: True for name, (a, b) in wanted.items() if a <= there[0] and b <= there[1]}


def test_they_are_bounded() -> None:
    book = Book()
    for number in range(promises_module.MAX_PROMISES + 1):
        book.add(str(number), events=1)
    assert book.told == {"0": False}
