"""Any value that the contract may carry, for hypothesis."""

import itertools

from hypothesis import strategies as st

from contract.alarms import AlarmEvent, Mode, Severity, Transition
from contract.compression import ContentEncoding
from contract.limits import MAX_STRING_CHARS, MAX_TIME_US, MIN_TIME_US
from contract.presence import Birth, Death, Device
from contract.receipts import Receipt, Verdict
from contract.telemetry import BatchHeader, ClockMark, ClockSource, Lane, Point, Sample

ids = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", fullmatch=True)
times_us = st.integers(MIN_TIME_US, MAX_TIME_US - 1)
texts = st.text(max_size=MAX_STRING_CHARS)
units = st.none() | st.text(min_size=1, max_size=32)
numbers = st.floats(allow_nan=False, allow_infinity=False)
values = numbers | st.booleans() | texts

points = st.builds(Point, ids, values, units)
samples = st.builds(
    Sample,
    ids,
    times_us,
    st.lists(points, min_size=1, max_size=6, unique_by=lambda point: point.key).map(tuple),
)


def _no_neighbours_of_one_moment(batch: list[Sample]) -> bool:
    moments = [(sample.device, sample.at_us) for sample in batch]
    return all(one != other for one, other in itertools.pairwise(moments))


# Neighbours of one device and one time are one sample on the wire, so only batches without them come back as they were.
batches = st.lists(samples, min_size=1, max_size=5).filter(_no_neighbours_of_one_moment)

headers = st.builds(
    BatchHeader,
    gateway=ids,
    boot=ids | st.just("-"),
    lane=st.sampled_from(Lane),
    seq=st.integers(0, 10**18 - 1),
    encoding=st.sampled_from(ContentEncoding),
    clock=st.none() | st.builds(ClockMark, st.sampled_from(ClockSource), st.integers(0, 10**18 - 1)),
)
receipts = st.builds(
    Receipt, st.sampled_from(Verdict), times_us, st.integers(0, 10**6), st.integers(0, 10**6), st.text(max_size=300)
)
devices = st.builds(Device, ids, st.text(max_size=80), st.text(max_size=20), st.text(max_size=80))
births = st.builds(
    Birth, ids, ids, st.text(max_size=20), st.text(max_size=80), times_us, st.lists(devices, max_size=4).map(tuple)
)
deaths = st.builds(Death, ids, ids, st.text(max_size=40))


@st.composite
def alarms(draw: st.DrawFn) -> AlarmEvent:
    raised_at_us, at_us = sorted((draw(times_us), draw(times_us)))
    return AlarmEvent(
        gateway=draw(ids),
        device=draw(ids),
        point=draw(ids),
        rule=draw(ids),
        transition=draw(st.sampled_from(Transition)),
        raised_at_us=raised_at_us,
        at_us=at_us,
        kind=draw(ids),
        severity=draw(st.sampled_from(Severity)),
        text=draw(st.dictionaries(st.text(max_size=35), texts, max_size=8)),
        value=draw(st.none() | values),
        unit=draw(units),
        mode=draw(st.sampled_from(Mode)),
    )
