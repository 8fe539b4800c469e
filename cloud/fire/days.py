"""From day to day: observations with gaps in, codes of every day out, by one rule. Pure.

The rule. A day on which all four values are known is observed. In a gap of at most `missed_days` days the missing
values are estimated: temperature, humidity and wind lie on the line between the days before and after, or stay as they
were while nobody knows the day after; rain is 0, so that the danger is rather over- than underestimated (what a
counter counted in a gap falls on the day of its next reading). A longer gap ends the series: its first days are
estimated, the others have no codes, and the next observed day starts anew with the start-up values, as if it were the
first. What comes out depends on the observations alone, not on when they came.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from enum import StrEnum

from msgspec import Struct

from cloud.fire.chinese import dry_days_after
from cloud.fire.fwi import START, Codes, Indices, Weather, next_day

_DAY = timedelta(days=1)


class Rule(StrEnum):
    """How a day came to its codes; stored."""

    OBSERVED = "observed"
    STARTED = "started"
    """Observed, and the series begins (anew) with the start-up values."""
    INTERPOLATED = "interpolated"
    """Estimated between two observed days."""
    CARRIED = "carried"
    """Estimated from the observed day before alone."""
    NONE = "none"
    """Nothing is known: no codes."""


class Noon(Struct, frozen=True):
    """What is known of a day's weather at noon; None: missing, or not to be believed."""

    temp_c: float | None = None
    rh_pct: float | None = None
    wind_kmh: float | None = None
    rain_mm: float | None = None

    @property
    def weather(self) -> Weather | None:
        """The weather, when all of it is known."""
        if self.temp_c is None or self.rh_pct is None or self.wind_kmh is None or self.rain_mm is None:
            return None
        return Weather(self.temp_c, self.rh_pct, self.wind_kmh, self.rain_mm)


class Turn(Struct, frozen=True):
    """From this day on the station stands here.

    Attributes:
        latitude_deg: see `cloud.fire.fwi`.
        start: None: the series goes on. Else it begins anew, with these codes.
    """

    day: date
    latitude_deg: float
    start: Codes | None = START


class Done(Struct, frozen=True):
    """One day as it came out; `indices` and `weather` are None by `Rule.NONE`.

    Attributes:
        weather: that drove the codes, estimated values among it.
        dry_days: days since the last rain as far as the series knows, at most ten; 0 without codes.
    """

    day: date
    rule: Rule
    weather: Weather | None = None
    indices: Indices | None = None
    dry_days: int = 0

    @property
    def is_anchor(self) -> bool:
        """Whether later observations cannot change this day or any before it."""
        return self.rule in (Rule.OBSERVED, Rule.STARTED)


def run_days(
    noons: Mapping[date, Noon],
    turns: Sequence[Turn],
    *,
    last: date,
    missed_days: int,
    before: Done | None = None,
) -> list[Done]:
    """Work out the days after `before` (without it: from the first turn) up to `last`.

    Args:
        noons: what is known, by day; days that are not there are missing.
        turns: by day, the first one begins the series; at least one.
        last: the last day.
        missed_days: the longest gap that is estimated.
        before: an observed day as it came out before; the days up to it stay as they are.
    """
    first = before.day + _DAY if before else turns[0].day
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    done: list[Done] = []
    # Whether the series must begin anew, with which codes.
    waiting: Codes | None = None if before else turns[0].start or START
    for gap, observed in _stretches(days, noons):
        known = None if observed is None else noons[observed].weather
        fresh = _start_within(turns, (*gap, *([observed] if observed else [])))
        if waiting is None and fresh is None and len(gap) <= missed_days:
            done += _bridge(gap, noons, before, known, turns)
        else:
            # Where the series ends within the gap, at a turn or because it is too long.
            cut = next((number for number, day in enumerate(gap) if _start_within(turns, (day,))), missed_days)
            estimated = 0 if waiting is not None else min(cut, missed_days, len(gap))
            done += _bridge(gap[:estimated], noons, before, None, turns)
            done += [Done(day, Rule.NONE) for day in gap[estimated:]]
            waiting = fresh or waiting or _start_before(turns, gap[0] if gap else first)
        if observed is None or known is None:
            continue
        before = _step(done[-1] if done and done[-1].indices else before, observed, known, turns, start=waiting)
        waiting = None
        done.append(before)
    return done


def _stretches(days: Iterable[date], noons: Mapping[date, Noon]) -> Iterator[tuple[list[date], date | None]]:
    """Part the days into gaps, each with the observed day that ends it; None where none does yet."""
    gap: list[date] = []
    for day in days:
        if day in noons and noons[day].weather is not None:
            yield gap, day
            gap = []
        else:
            gap.append(day)
    if gap:
        yield gap, None


def _start_within(turns: Sequence[Turn], days: Iterable[date]) -> Codes | None:
    """The codes of the last turn on one of these days that begins anew."""
    among = set(days)
    return next((turn.start for turn in reversed(turns) if turn.day in among and turn.start), None)


def _start_before(turns: Sequence[Turn], day: date) -> Codes:
    """The codes with which the station begins anew, as last said."""
    return next((turn.start for turn in reversed(turns) if turn.day <= day and turn.start), START)


def _bridge(
    gap: Sequence[date], noons: Mapping[date, Noon], before: Done | None, after: Weather | None, turns: Sequence[Turn]
) -> list[Done]:
    """Estimate the days of a gap, one from the other."""
    done: list[Done] = []
    if before is None or before.weather is None:
        return done
    known = before.weather
    for number, day in enumerate(gap, start=1):
        share = number / (len(gap) + 1) if after else 0.0
        weather = _filled(noons.get(day, Noon()), known, after or known, share)
        rule = Rule.INTERPOLATED if after else Rule.CARRIED
        done.append(_step(done[-1] if done else before, day, weather, turns, rule=rule))
    return done


def _filled(noon: Noon, before: Weather, after: Weather, share: float) -> Weather:
    def between(value: float | None, one: float, other: float) -> float:
        return one + (other - one) * share if value is None else value

    return Weather(
        between(noon.temp_c, before.temp_c, after.temp_c),
        between(noon.rh_pct, before.rh_pct, after.rh_pct),
        between(noon.wind_kmh, before.wind_kmh, after.wind_kmh),
        noon.rain_mm or 0.0,
    )


def _step(
    before: Done | None,
    day: date,
    weather: Weather,
    turns: Sequence[Turn],
    *,
    rule: Rule = Rule.OBSERVED,
    start: Codes | None = None,
) -> Done:
    """Work out one day from the one before, or from a start."""
    if start is not None or before is None or before.indices is None:
        codes, dry_days, rule = start or START, 0, Rule.STARTED
    else:
        codes, dry_days = before.indices.codes, before.dry_days
    latitude_deg = next((turn.latitude_deg for turn in reversed(turns) if turn.day <= day), turns[0].latitude_deg)
    indices = next_day(codes, weather, month=day.month, latitude_deg=latitude_deg)
    return Done(day, rule, weather, indices, dry_days_after(dry_days, weather.rain_mm))
