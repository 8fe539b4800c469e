"""What is said to the desk of tours, wands and people alone: alarms of the cloud's own. Pure."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct

from cloud.desk.own import OWN_GATEWAY
from cloud.patrols.plans import Tour
from cloud.patrols.verdicts import VISITED, Judged, VisitVerdict
from contract.alarms import AlarmEvent, Severity, Transition
from contract.ids import alarm_id, is_id
from contract.limits import MAX_STRING_CHARS

MISSED = "patrol-missed"
LATE = "patrol-late"
SILENT = "wand-silent"
LONE = "lone-worker"
_NAMES_TOLD = 20
_TEXTS: dict[str, dict[str, str]] = {
    MISSED: {
        "en": "Patrol {name}, {when}: {count} of {all} points missed: {points}",
        "zh": "巡更{name}（{when}）：{all}个巡更点漏巡{count}个：{points}",
    },
    LATE: {
        "en": "Patrol {name}, {when}: {count} of {all} points late: {points}",
        "zh": "巡更{name}（{when}）：{all}个巡更点迟到{count}个：{points}",
    },
    SILENT: {
        "en": "Patrol wand {name} has not been read out; nobody knows what became of its tours",
        "zh": "巡更棒{name}长时间未上传，无法判断巡更情况",
    },
    LONE: {
        "en": "{name} walks alone and gives no sign of life; last: {sign}",
        "zh": "单独巡更人员{name}未按时报平安；最后一次：{sign}",
    },
}


class Standing(Struct, frozen=True):
    """An alarm of a tour that stands; `points` are the positions it was said of."""

    raised_at_us: int
    severity: Severity
    points: tuple[int, ...]


class Words(Struct, frozen=True):
    """What alarms of a tour are told with: its name, when it begins by the wall clock, and names of points by id."""

    name: str
    when: str
    points: Mapping[str, str]


class News(Struct, frozen=True):
    """What there is to say of a tour.

    Attributes:
        events: in their order.
        comments: alarm id and words, to be added to what stands.
        standing: by kind, what stands then.
    """

    events: tuple[AlarmEvent, ...]
    comments: tuple[tuple[str, str], ...]
    standing: dict[str, Standing]


def source_of(event: AlarmEvent) -> str:
    """Name what an event is about."""
    return f"{event.gateway}/{event.device}/{event.point}/{event.rule}"


def device_of(what: str, name: str) -> str:
    """Name the device of an alarm: `tour.<id>`, or with a digest where that is no id."""
    told = f"{what}.{name}"
    return told if is_id(told) else f"{what}.{hashlib.sha256(name.encode()).hexdigest()[:24]}"


def tour_news(
    tour: Tour, judged: Judged, standing: Mapping[str, Standing], *, words: Words, tell_late: bool, now_us: int
) -> News:
    """Compare what is missed and late with what stands at the desk.

    One alarm a tour and kind: it is raised with the first point, grows by comments, rises when a point that must be
    visited is among them, and is cleared when a later upload has made all of it good.
    """
    events: list[AlarmEvent] = []
    comments: list[tuple[str, str]] = []
    stands: dict[str, Standing] = {}
    missed = _missed(judged, standing)
    must = any(tour.stops[position].must for position in missed)
    wanted = [
        (MISSED, missed, Severity.HIGH if must else Severity.MEDIUM),
        (LATE, _positions(judged, VisitVerdict.LATE) if tell_late else (), Severity.LOW),
    ]
    for kind, points, severity in wanted:
        before = standing.get(kind)
        text = _tour_text(kind, tour, points, words)
        if before is None:
            if points:
                stands[kind] = Standing(now_us, severity, points)
                events.append(_tour_event(kind, tour, Transition.RAISED, stands[kind], now_us, text))
            continue
        if not points:
            events.append(_tour_event(kind, tour, Transition.CLEARED, before, now_us, text))
            continue
        stands[kind] = Standing(before.raised_at_us, before.severity, points)
        if severity is Severity.HIGH and before.severity is not Severity.HIGH:
            stands[kind] = Standing(before.raised_at_us, severity, points)
            events.append(_tour_event(kind, tour, Transition.RETRIGGERED, stands[kind], now_us, text))
        if points != before.points:
            event = _tour_event(kind, tour, Transition.RAISED, before, before.raised_at_us, text)
            comments.append((alarm_id(source_of(event), before.raised_at_us), f"{text['zh']} / {text['en']}"))
    return News(tuple(events), tuple(comments), stands)


def silent_event(wand: str, name: str, *, raised_at_us: int, cleared_at_us: int | None = None) -> AlarmEvent:
    """Say that a wand is not read out, or that it was at last."""
    return _event(
        SILENT,
        device_of("wand", wand),
        "sync",
        Transition.RAISED if cleared_at_us is None else Transition.CLEARED,
        (raised_at_us, raised_at_us if cleared_at_us is None else max(raised_at_us, cleared_at_us)),
        Severity.MEDIUM,
        _filled(SILENT, name=name or wand),
    )


def lone_event(watch: str, name: str, sign: str, *, raised_at_us: int, cleared_at_us: int | None = None) -> AlarmEvent:
    """Say that somebody who walks alone gives no sign of life, or does again."""
    return _event(
        LONE,
        device_of("watch", watch),
        "sign",
        Transition.RAISED if cleared_at_us is None else Transition.CLEARED,
        (raised_at_us, raised_at_us if cleared_at_us is None else max(raised_at_us, cleared_at_us)),
        Severity.HIGH,
        _filled(LONE, name=name, sign=sign),
    )


def _missed(judged: Judged, standing: Mapping[str, Standing]) -> tuple[int, ...]:
    """List what is missed, with what was and is not made good: it may be pending again when another wand turns up."""
    named = standing[MISSED].points if MISSED in standing else ()
    open_ = {one.position for one in judged.stops if one.position in named and one.verdict not in VISITED}
    return tuple(sorted({*_positions(judged, VisitVerdict.MISSED), *open_}))


def _positions(judged: Judged, verdict: VisitVerdict) -> tuple[int, ...]:
    return tuple(one.position for one in judged.stops if one.verdict is verdict)


def _tour_text(kind: str, tour: Tour, positions: Sequence[int], words: Words) -> dict[str, str]:
    points = _listed(words.points.get(tour.stops[one].point, tour.stops[one].point) for one in positions)
    return _filled(
        kind, name=words.name, when=words.when, count=str(len(positions)), all=str(len(tour.stops)), points=points
    )


def _listed(names: Iterable[str]) -> str:
    told = list(names)
    return ", ".join(told[:_NAMES_TOLD]) + (" ..." if len(told) > _NAMES_TOLD else "")


def _filled(kind: str, **values: str) -> dict[str, str]:
    return {language: text.format(**values)[:MAX_STRING_CHARS] for language, text in _TEXTS[kind].items()}


def _tour_event(
    kind: str, tour: Tour, transition: Transition, stands: Standing, now_us: int, text: dict[str, str]
) -> AlarmEvent:
    times = (stands.raised_at_us, max(stands.raised_at_us, now_us))
    return _event(kind, device_of("tour", tour.id), "visits", transition, times, stands.severity, text)


def _event(
    kind: str,
    device: str,
    point: str,
    transition: Transition,
    times_us: tuple[int, int],
    severity: Severity,
    text: dict[str, str],
) -> AlarmEvent:
    return AlarmEvent(
        gateway=OWN_GATEWAY,
        device=device,
        point=point,
        rule=kind.rpartition("-")[2],
        transition=transition,
        raised_at_us=times_us[0],
        at_us=times_us[1],
        kind=kind,
        severity=severity,
        text=text,
    )
