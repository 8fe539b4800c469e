"""Whether what was expected of the cloud has come true, by what was looked up there. Pure; in the story's time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from msgspec import structs

from contract.alarms import AlarmEvent, Transition
from device_profiles.faults import N_
from simulators.scenario import expecting
from simulators.scenario.record import Record, SeenOnDesk
from simulators.scenario.verdict import MAX_NAMED, Verdict, Window
from simulators.scenario.world import split

OfSource = (
    expecting.Raised
    | expecting.Cleared
    | expecting.NotRaised
    | expecting.Count
    | expecting.OnDesk
    | (expecting.Evidence)
)
"""Says which alarms are meant."""


def is_meant(alarm: AlarmEvent | SeenOnDesk, wanted: OfSource) -> bool:
    """Tell whether an alarm is one of those meant, whatever happened to it."""
    gateway, device = (None, None) if wanted.device is None else split(wanted.device)
    pairs = (
        (gateway, alarm.gateway),
        (wanted.gateway, alarm.gateway),
        (device, alarm.device),
        (wanted.point, alarm.point),
        (wanted.rule, alarm.rule),
        (wanted.alarm, alarm.kind),
        (wanted.severity, alarm.severity),
        (wanted.mode, alarm.mode),
    )
    return all(one in (None, other) for one, other in pairs)


def judge_desk(
    expected: expecting.OfDesk, record: Record, window: Window, *, others: Iterable[expecting.Expectation]
) -> Verdict | None:
    """Judge what is looked up in the cloud.

    Args:
        expected: what.
        record: of what was seen.
        window: from when to when.
        others: everything that is expected; who expects an alarm is not surprised by it.
    """
    match expected:
        case expecting.OnDesk():
            return _on_desk(expected, record, _looked(window, record))
        case expecting.Evidence():
            return _evidence(expected, record, window)
        case expecting.Answer():
            return _answer(expected, record, window)
    return _nothing_else(record, others) if window.is_at_end else None


def _looked(window: Window, record: Record) -> Window:
    """Take the moment at which the desk was looked at for the present one."""
    return window if window.is_at_end else structs.replace(window, now_s=record.desk_at_s)


def _on_desk(expected: expecting.OnDesk, record: Record, window: Window) -> Verdict | None:
    rows = [row for row in record.desk or () if is_meant(row, expected)]
    if expected.open is not None:
        rows = [row for row in rows if row.is_open is expected.open]
    if expected.suppressed is not None:
        rows = [row for row in rows if row.is_suppressed is expected.suppressed]
    return counted(len(rows), expected, window, N_("{count} on the desk: {seen}"), seen=named(rows))


def counted(
    count: int, expected: expecting.Count | expecting.OnDesk, window: Window, text: str, **args: str
) -> Verdict | None:
    """Judge a count: too many is too many at once, enough is enough when the time is over."""
    least = expected.at_least if expected.exactly is None else expected.exactly
    most = expected.at_most if expected.exactly is None else expected.exactly
    is_enough, is_too_many = count >= (least or 0), most is not None and count > most
    if not (is_too_many or (window.is_over and is_enough) or window.is_past_limit):
        return None
    return Verdict(is_enough and not is_too_many, text, {"count": str(count), **args})


def _evidence(expected: expecting.Evidence, record: Record, window: Window) -> Verdict | None:
    said = max((row.said for row in record.desk or () if is_meant(row, expected)), key=len, default=())
    if len(said) >= expected.at_least and _stand_in_order(expected.says, said):
        took_s = window.took(max(record.desk_at_s, window.since_s))
        return Verdict(is_met=True, text=N_("after {s} s"), args={"s": f"{took_s:.2f}"}, took_s=took_s)
    if not window.is_past_limit:
        return None
    told = " | ".join(said) or "-"
    return Verdict(is_met=False, text=N_("{count} comments: {said}"), args={"count": str(len(said)), "said": told})


def _stand_in_order(texts: Sequence[str], said: Sequence[str]) -> bool:
    # Two texts may stand in one comment, the later ones not before the earlier.
    place = 0
    for text in texts:
        while place < len(said) and text not in said[place]:
            place += 1
        if place == len(said):
            return False
    return True


def _answer(expected: expecting.Answer, record: Record, window: Window) -> Verdict | None:
    answer = record.answers.get(expected.get)
    fresh = answer if answer is not None and answer.at_s >= window.since_s else None
    objects = [] if fresh is None or fresh.why else list(_objects(fresh.said))
    missing = _missing(expected.has, objects)
    unwanted = next((lack for lack in expected.lacks if any(_has(one, lack) for one in objects)), None)
    is_so = bool(fresh) and not (fresh and fresh.why) and missing is None and unwanted is None
    # What is there is enough; what is not there must stay away to the end.
    if is_so and fresh is not None and (expected.has or window.is_over):
        took_s = window.took(fresh.at_s)
        return Verdict(is_met=True, text=N_("after {s} s"), args={"s": f"{took_s:.2f}"}, took_s=took_s)
    if not window.is_past_limit:
        return None
    if fresh is None or fresh.why:
        return Verdict(is_met=False, text=N_("no answer: {why}"), args={"why": fresh.why if fresh else "-"})
    if missing is not None:
        return Verdict(is_met=False, text=N_("of {count} objects none in its place is {fields}"),
                       args={"count": str(len(objects)), "fields": str(missing)})  # fmt: skip
    return Verdict(is_met=False, text=N_("there was {fields}"), args={"fields": str(unwanted)})


def _missing(wanted: Sequence[expecting.Fields], objects: Sequence[Mapping[str, Any]]) -> expecting.Fields | None:
    """Find the first that is not there, after those before it; None when all are."""
    place = 0
    for fields in wanted:
        while place < len(objects) and not _has(objects[place], fields):
            place += 1
        if place == len(objects):
            return fields
        place += 1
    return None


def _has(one: Mapping[str, Any], fields: expecting.Fields) -> bool:
    return all(_member(one, key) == (value, True) for key, value in fields.items())


def _member(one: Any, key: str) -> tuple[Any, bool]:
    for part in key.split("."):
        if not isinstance(one, Mapping) or part not in one:
            return None, False
        one = one[part]
    return one, True


def _objects(said: Any) -> Iterator[Mapping[str, Any]]:
    """List every object of an answer, each before what is in it."""
    if isinstance(said, Mapping):
        yield said
        said = list(said.values())
    if isinstance(said, list):
        for one in said:
            yield from _objects(one)


def _nothing_else(record: Record, others: Iterable[expecting.Expectation]) -> Verdict:
    if record.desk is None:
        return Verdict(is_met=False, text=N_("it could not be told"))
    meant = [wanted for other in others for wanted in _welcomed(other)]
    raised = [seen.event for seen in record.alarms if seen.event.transition is Transition.RAISED]
    came: list[AlarmEvent | SeenOnDesk] = [*record.desk, *raised]
    surprises = {alarm.source for alarm in came if not any(is_meant(alarm, wanted) for wanted in meant)}
    if surprises:
        return Verdict(is_met=False, text=N_("came: {seen}"), args={"seen": _listed(sorted(surprises))})
    return Verdict(
        is_met=True, text=N_("nothing else among {count} on the desk"), args={"count": str(len(record.desk))}
    )


def _welcomed(other: expecting.Expectation) -> list[OfSource]:
    """List the alarms that an expectation wants, or at least allows."""
    match other:
        case expecting.Raised() | expecting.Cleared() | expecting.Evidence():
            return [other]
        case expecting.Count() | expecting.OnDesk() if (other.exactly, other.at_most).count(0) == 0:
            return [other]
        case expecting.Order():
            return [expecting.Raised(device=name, alarm=other.alarm) for name in other.devices]
    return []


def named(rows: Sequence[SeenOnDesk]) -> str:
    """Name rows for an explanation; a dash when there are none."""
    return _listed([row.source for row in rows])


def _listed(names: Sequence[str]) -> str:
    more = f", +{len(names) - MAX_NAMED}" if len(names) > MAX_NAMED else ""
    return (", ".join(names[:MAX_NAMED]) or "-") + more
