"""Whether what was expected has come true, by what was seen so far. Pure; time is the story's clock."""

from collections.abc import Iterable, Iterator
from math import inf

from msgspec import structs

from contract.alarms import Transition
from contract.telemetry import Value
from device_profiles.faults import N_, shown
from simulators.scenario import expecting
from simulators.scenario.desk_judge import OfSource, counted, is_meant, judge_desk
from simulators.scenario.loader import Scenario
from simulators.scenario.record import Record, SeenAlarm, SeenValue
from simulators.scenario.verdict import MAX_NAMED, Verdict, Window


class Judge:
    """Judges the expectations of one scenario, each until it is decided.

    Attributes:
        verdicts: by the number of an `[[expect]]`, counted from 0.
    """

    def __init__(self, scenario: Scenario, *, slack: float = 1.0) -> None:
        """Take a scenario; what must happen within a time has `slack` times that time, for a slow machine."""
        self._scenario, self._slack = scenario, slack
        self._length_s = scenario.file.scenario.length_s
        self.verdicts: dict[int, Verdict] = {}

    def look(self, record: Record, now_s: float) -> bool:
        """Judge what is still open; tell whether nothing is left to wait for but what is judged at the end."""
        for number, expected in enumerate(self._scenario.file.expect):
            if number not in self.verdicts and (verdict := self._judge(expected, record, now_s)) is not None:
                self.verdicts[number] = verdict
        left = set(range(len(self._scenario.file.expect))) - self.verdicts.keys()
        at_the_end = expecting.NothingLost | expecting.NothingElse
        return all(isinstance(self._scenario.file.expect[number], at_the_end) for number in left)

    def close(self, record: Record) -> dict[int, Verdict]:
        """Judge all that is left, now that everything is over."""
        self.look(record, inf)
        for number in range(len(self._scenario.file.expect)):
            self.verdicts.setdefault(number, Verdict(is_met=False, text=N_("it could not be told")))
        return self.verdicts

    def _judge(self, expected: expecting.Expectation, record: Record, now_s: float) -> Verdict | None:
        since_s = self._since(expected, record)
        if since_s is None:
            never = Verdict(is_met=False, text=N_("{event} never happened"), args={"event": expected.after or ""})
            return never if now_s == inf else None
        return self._judge_in(Window(since_s, self._end_s(expected, since_s), self._slack, now_s), expected, record)

    def _judge_in(self, window: Window, expected: expecting.Expectation, record: Record) -> Verdict | None:
        if isinstance(expected, expecting.OfDesk):
            return judge_desk(expected, record, window, others=self._scenario.file.expect)
        match expected:
            case expecting.NothingLost():
                return self._nothing_lost(expected, record)
            case expecting.ValueIs():
                (who,) = self._scenario.world.devices(expected.device)
                return _value_is(expected, record.readings.get((who, expected.point), ()), window)
            case expecting.OutputIs():
                (who,) = self._scenario.world.devices(expected.device)
                return _output_is(expected, record.outputs.get((who, expected.point), ()), window)
            case expecting.GatewayIs() | expecting.TagIs():
                return _happened(self._moments(expected, record), window)
        return _of_alarms(expected, record, window)

    def _moments(self, expected: expecting.GatewayIs | expecting.TagIs, record: Record) -> Iterator[float]:
        if isinstance(expected, expecting.GatewayIs):
            for seen in record.states:
                if expected.gateway in (None, seen.gateway) and seen.state is expected.state:
                    yield seen.at_s
            return
        asked = self._scenario.world.devices(expected.device)
        for told in record.tags:
            if told.who in asked and (told.tag, told.state) == (expected.tag, expected.state):
                yield told.at_s

    def _since(self, expected: expecting.Expectation, record: Record) -> float | None:
        if expected.after is None:
            return 0.0
        return record.done.get(self._scenario.events[expected.after])

    def _end_s(self, expected: expecting.Expectation, since_s: float) -> float:
        # What happens late, on a machine that was busy, is still waited for.
        return max(self._length_s, since_s) if expected.within_s is None else since_s + expected.within_s

    def _nothing_lost(self, expected: expecting.NothingLost, record: Record) -> Verdict | None:
        if record.losses is None:
            return None
        asked = self._scenario.world.devices(expected.device)
        found = [record.losses[who] for who in asked if who in record.losses]
        produced, lost = sum(one.produced for one in found), sum(one.lost for one in found)
        twice = sum(one.twice for one in found)
        args = {"produced": str(produced), "lost": str(lost), "twice": str(twice)}
        is_met = produced > 0 and lost <= expected.at_most and twice == 0
        return Verdict(is_met, N_("{produced} readings, {lost} lost, {twice} twice"), args)


def describe(expected: expecting.Expectation) -> str:
    """Write an expectation in one line, in the words of the file."""
    words = [str(expected.__struct_config__.tag)]
    for field in structs.fields(expected):
        name, value = field.name, getattr(expected, field.name)
        if name in {"after", "within_s"} or value == field.default:
            continue
        text = ", ".join(map(str, value)) if isinstance(value, tuple) else shown(value).strip('"')
        words.append(text if name in {"device", "point", "alarm", "gateway", "state"} else f"{name} = {text}")
    if expected.within_s is not None:
        words.append(f"within {expected.within_s:g} s")
    if expected.after is not None:
        words.append(f"after {expected.after}")
    return " ".join(words)


def fits(seen: SeenAlarm, wanted: OfSource) -> bool:
    """Tell whether an alarm is one of those meant, whatever happened to it."""
    return is_meant(seen.event, wanted)


def _of_alarms(
    expected: expecting.Raised | expecting.Cleared | expecting.NotRaised | expecting.Count | expecting.Order,
    record: Record,
    window: Window,
) -> Verdict | None:
    match expected:
        case expecting.NotRaised():
            return _stayed_away(expected, record, window)
        case expecting.Count():
            return _counted(expected, record, window)
        case expecting.Order():
            return _in_order(expected, record, window)
    return _came(expected, record, window)


def _moment(seen: SeenAlarm, *, stored: bool) -> float:
    if not stored:
        return seen.at_s
    return inf if seen.stored_at_s is None else seen.stored_at_s


def _came(expected: expecting.Raised | expecting.Cleared, record: Record, window: Window) -> Verdict | None:
    wanted = Transition.RAISED if isinstance(expected, expecting.Raised) else Transition.CLEARED
    moments = (
        _moment(seen, stored=expected.stored)
        for seen in record.alarms
        if seen.event.transition is wanted and fits(seen, expected)
    )
    first = min((at_s for at_s in moments if window.since_s <= at_s <= window.limit_s), default=None)
    if first is not None:
        took_s = window.took(first)
        return Verdict(is_met=True, text=N_("after {s} s"), args={"s": f"{took_s:.2f}"}, took_s=took_s)
    if not window.is_past_limit:
        return None
    return Verdict(is_met=False, text=N_("did not come; came: {seen}"), args={"seen": _named(record.alarms)})


def _stayed_away(expected: expecting.NotRaised, record: Record, window: Window) -> Verdict | None:
    came = [
        seen
        for seen in record.alarms
        if seen.event.transition is Transition.RAISED
        and fits(seen, expected)
        and window.since_s <= _moment(seen, stored=expected.stored) <= window.end_s
    ]
    if came:
        return Verdict(is_met=False, text=N_("came: {seen}"), args={"seen": _named(came)})
    return Verdict(is_met=True, text=N_("did not come")) if window.is_over else None


def _counted(expected: expecting.Count, record: Record, window: Window) -> Verdict | None:
    count = sum(
        seen.event.transition is expected.transition
        and fits(seen, expected)
        and window.since_s <= _moment(seen, stored=expected.stored) <= window.limit_s
        for seen in record.alarms
    )
    return counted(count, expected, window, N_("{count} came"))


def _in_order(expected: expecting.Order, record: Record, window: Window) -> Verdict | None:
    firsts = [_first_of(name, expected.alarm, record, window) for name in expected.devices]
    if any(first is None for first in firsts):
        missing = ", ".join(name for name, first in zip(expected.devices, firsts, strict=True) if first is None)
        late = Verdict(is_met=False, text=N_("nothing came of {devices}"), args={"devices": missing})
        return late if window.is_past_limit else None
    moments = [first.event.raised_at_us for first in firsts if first is not None]
    order = sorted(range(len(moments)), key=moments.__getitem__)
    said = " < ".join(expected.devices[place] for place in order)
    return Verdict(moments == sorted(moments), N_("they came as {order}"), {"order": said})


def _first_of(name: str, alarm: str, record: Record, window: Window) -> SeenAlarm | None:
    wanted = expecting.Raised(device=name, alarm=alarm)
    found = (
        seen
        for seen in record.alarms
        if seen.event.transition is Transition.RAISED and fits(seen, wanted) and seen.at_s >= window.since_s
    )
    return next(found, None)


def _value_is(expected: expecting.ValueIs, readings: Iterable[SeenValue], window: Window) -> Verdict | None:
    seen = [one for one in readings if window.since_s <= one.at_s <= window.limit_s]
    bad = [one for one in seen if not _is_within(expected, one.value)]
    if expected.every:
        if bad:
            return Verdict(is_met=False, text=N_("was {value}"), args={"value": shown(bad[0].value)})
        if (seen and window.is_over) or window.is_past_limit:
            return Verdict(bool(seen), N_("{count} readings"), {"count": str(len(seen))})
        return None
    good = next((one for one in seen if _is_within(expected, one.value)), None)
    if good is not None:
        args = {"value": shown(good.value), "s": f"{window.took(good.at_s):.2f}"}
        return Verdict(is_met=True, text=N_("{value} after {s} s"), args=args, took_s=window.took(good.at_s))
    if not window.is_past_limit:
        return None
    last = shown(bad[-1].value) if bad else "-"
    return Verdict(is_met=False, text=N_("of {count} readings none; the last was {value}"),
                   args={"count": str(len(seen)), "value": last})  # fmt: skip


def _is_within(expected: expecting.ValueIs, value: Value) -> bool:
    if expected.equals is not None and value != expected.equals:
        return False
    if expected.lowest is None and expected.highest is None:
        return True
    if isinstance(value, bool | str):
        return False
    lowest = -inf if expected.lowest is None else expected.lowest
    return lowest <= value <= (inf if expected.highest is None else expected.highest)


def _output_is(expected: expecting.OutputIs, outputs: Iterable[SeenValue], window: Window) -> Verdict | None:
    changes = list(outputs)
    # A value lasts until the next change.
    ends = [*(later.at_s for later in changes[1:]), inf][: len(changes)]
    for one, end_s in zip(changes, ends, strict=True):
        if one.value == expected.equals and end_s > window.since_s and one.at_s <= window.limit_s:
            took_s = window.took(max(one.at_s, window.since_s))
            return Verdict(is_met=True, text=N_("after {s} s"), args={"s": f"{took_s:.2f}"}, took_s=took_s)
    if not window.is_past_limit:
        return None
    last = shown(changes[-1].value) if changes else "-"
    return Verdict(is_met=False, text=N_("was {value}"), args={"value": last})


def _happened(moments: Iterable[float], window: Window) -> Verdict | None:
    first = min((at_s for at_s in moments if window.since_s <= at_s <= window.limit_s), default=None)
    if first is not None:
        took_s = window.took(first)
        return Verdict(is_met=True, text=N_("after {s} s"), args={"s": f"{took_s:.2f}"}, took_s=took_s)
    return Verdict(is_met=False, text=N_("did not happen")) if window.is_past_limit else None


def _named(alarms: Iterable[SeenAlarm]) -> str:
    """Name alarms for an explanation; a dash when there are none."""
    names = [f"{seen.event.source} {seen.event.transition.value}" for seen in alarms]
    more = f", +{len(names) - MAX_NAMED}" if len(names) > MAX_NAMED else ""
    return (", ".join(names[:MAX_NAMED]) or "-") + more
