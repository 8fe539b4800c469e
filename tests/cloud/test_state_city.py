"""What stands, as pure functions: rounds, counts, labels, and what a source shows."""

from collections import Counter
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.desk.core import Alarm
from cloud.influx.schema import LEVELS
from cloud.state.alarm_lines import SeriesKey, Step, event_lines, foremost, state_line
from cloud.state.city import NOWHERE, Area, City, Gateway, Open, Site, Spot, around, tally_areas, tally_sites
from cloud.state.lines import labelled
from cloud.state.spread import Round
from contract.alarms import Mode, Severity
from tests.cloud.state_rig import Line

PERIOD_US = 1_000_000
NOW_US = 1_800_000_000_000_000
PATHS = ("", "zj/", "zj/jh/", "zj/jh/c-1/", "zj/nb/", "js/")
EMPTY = City([], [], [])


def opened(number: int = 0, **fields: Any) -> Open:
    plain = Open(
        alarm_id=f"{number:024}", gateway="g", device="d", point="p", rule="r", kind="smoke", severity="high",
        mode="live", raised_at_us=NOW_US, cleared_at_us=None, acknowledged_at_us=None, shelved_until_us=None,
        suppressed_by=None, out_of_service=False, site=None, area_path="", target_s=None,
    )  # fmt: skip
    return msgspec.structs.replace(plain, **fields)


ALARMS = st.lists(
    st.builds(
        opened,
        severity=st.sampled_from(sorted(LEVELS)),
        mode=st.sampled_from(["live", "live", "live", "test", "drill"]),
        raised_at_us=st.integers(NOW_US - 600_000_000, NOW_US),
        acknowledged_at_us=st.sampled_from([None, NOW_US]),
        shelved_until_us=st.sampled_from([None, None, NOW_US]),
        suppressed_by=st.sampled_from([None, None, "g/d/p/r"]),
        out_of_service=st.sampled_from([False, False, True]),
        site=st.sampled_from([None, "s-1", "s-2"]),
        area_path=st.sampled_from(PATHS),
        target_s=st.sampled_from([None, 60, 300]),
    ),
    max_size=12,
)


@settings(max_examples=40)
@given(st.text(max_size=8), st.integers(0, 10**16), st.lists(st.integers(1, PERIOD_US - 1), min_size=1, max_size=20))
def test_however_a_period_is_sliced_each_thing_is_due_once_in_it(key: str, began_us: int, steps: list[int]) -> None:
    one = Round(PERIOD_US, began_us)
    now_us, due, last_us = began_us, 0, began_us + PERIOD_US
    for step in [*steps, PERIOD_US]:
        until_us = min(now_us + step, last_us)
        due += one.is_due(key, until_us)
        one.told_us = now_us = until_us
    assert due == 1


@given(st.text(max_size=8), st.integers(0, 10**16), st.integers(-(10**12), 10**12))
def test_after_a_whole_period_or_with_a_clock_put_back_everything_is_due(key: str, told_us: int, later_us: int) -> None:
    one = Round(PERIOD_US, told_us)
    is_new = later_us < 0 or later_us >= PERIOD_US
    assert one.is_over(told_us + later_us) == is_new
    if is_new:
        assert one.is_due(key, told_us + later_us)
    assert Round(PERIOD_US).is_due(key, told_us)


@settings(max_examples=40)
@given(ALARMS)
def test_counts_are_those_of_counting_one_by_one(alarms: list[Open]) -> None:
    found = tally_areas(alarms, NOW_US)
    live = [one for one in alarms if one.mode == "live"]
    heard = [
        one for one in live if one.shelved_until_us is None and one.suppressed_by is None and not one.out_of_service
    ]
    for path in PATHS:
        here = [one for one in heard if one.area_path.startswith(path)]
        held = [one for one in live if one.area_path.startswith(path) and one not in heard]
        if not here and not held:
            assert path not in found
            continue
        tally = found[path]
        assert tally.by_level == Counter(one.severity for one in here)
        assert tally.worst == max((LEVELS[one.severity] for one in here), default=0)
        assert tally.unacknowledged == sum(one.acknowledged_at_us is None for one in here)
        late = [one for one in here if one.target_s and NOW_US - one.raised_at_us > one.target_s * 1_000_000]
        assert (tally.over_target, tally.suppressed) == (len(late), len(held))
    by_site = tally_sites(EMPTY, alarms, NOW_US)
    for name in ("s-1", "s-2"):
        expected = sum(one.site == name for one in heard)
        assert (by_site[name].by_level.total() if name in by_site else 0) == expected


@settings(max_examples=40)
@given(ALARMS)
def test_a_source_shows_what_is_live_before_all_else_and_then_the_worst(alarms: list[Open]) -> None:
    numbered = [msgspec.structs.replace(one, alarm_id=f"{at:024}") for at, one in enumerate(alarms)]
    shown = foremost(EMPTY, numbered)
    assert foremost(EMPTY, numbered[::-1]) == shown
    for one in numbered:
        chosen = shown[SeriesKey("g", "d", "p", "r", "smoke", one.site or "", one.area_path)]
        order = {"live": 2, "drill": 1, "test": 0}
        assert (order[chosen.mode], LEVELS[chosen.severity]) >= (order[one.mode], LEVELS[one.severity])


def test_paths_with_all_above_them() -> None:
    assert around([]) == set()
    assert around([""]) == {""}
    assert around(["zj/jh/", "zj/nb/"]) == {"", "zj/", "zj/jh/", "zj/nb/"}


def test_a_city_counts_what_lies_below() -> None:
    areas = [Area(path.split("/")[-2], "town", "", path) for path in PATHS if path]
    sites = [Site("s-1", "", area_path="zj/jh/c-1/"), Site("s-2", "", area_path="js/")]
    gateways = [
        Gateway("g-1", "", "s-1", "zj/jh/c-1/", is_heard=True, is_online=True),
        Gateway("g-2", "", "s-1", "zj/jh/c-1/"),
        Gateway("g-3", "", "shed", is_heard=True),
    ]
    city = City(areas, sites, gateways)
    assert (city.sites_below[""], city.sites_below["zj/"], city.sites_below["zj/nb/"]) == (2, 1, 0)
    assert (city.gateways_below[""], city.gateways_below["zj/jh/"], city.online_below["zj/"]) == (3, 2, 1)
    assert city.gateways_at == {"s-1": (2, 1), "shed": (1, 0)}
    assert city.sites["shed"].name == "shed"
    moved = city.with_gateways([Gateway("g-3", "", "s-2", "js/", is_heard=True, is_online=True)])
    assert "shed" not in moved.sites
    assert (moved.online_below["js/"], city.online_below["js/"]) == (1, 0)
    assert (moved.site_of("g-3"), moved.site_of("g-3", site="s-1"), moved.site_of("none")) == ("s-2", "s-1", "")


def test_a_label_that_could_not_be_taken_apart_is_none() -> None:
    assert labelled("第三\n小学", "school-3") == "第三 小学 [school-3]"
    assert labelled("", "g") == "g [g]"
    assert labelled("x", "a[b") is None
    assert labelled("x", "a]b") is None


def alarm(**fields: Any) -> Alarm:
    plain = Alarm(
        alarm_id="a" * 24, source="g/d/p/r", gateway="g", device="d", point="p", rule="r", kind="smoke",
        severity=Severity.HIGH, text={}, raised_at_us=NOW_US, received_at_us=NOW_US, stored_at_us=NOW_US, late=False,
        triggers=1, last_raised_at_us=NOW_US,
    )  # fmt: skip
    return msgspec.structs.replace(plain, **fields)


def state(of: Alarm, *, city: City = EMPTY, spot: Spot = NOWHERE, now_us: int = NOW_US) -> Line:
    line = state_line(city, of, spot, now_us)
    assert line is not None
    return Line.read(line)


def test_words_are_in_the_language_or_in_the_next_best() -> None:
    def words(text: dict[str, str]) -> tuple[str, str]:
        fields = state(alarm(text=text)).fields
        return fields["text_en"], fields["text_zh"]

    assert words({"zh_CN": "门", "en-GB": "Gate"}) == ("Gate", "门")
    assert words({"de": "Tor", "en": "Gate"}) == ("Gate", "Gate")
    assert words({"de": "Tor"}) == ("Tor", "Tor")
    assert words({}) == ("", "")


def test_whatever_people_write_it_is_one_line() -> None:
    nasty = 'Say "hi"\\, \n a=b, 门'
    city = City([], [Site("s", nasty, address=nasty)], [Gateway("g", nasty, "s")])
    read = state(alarm(text={"en": nasty}, site="s"), city=city)
    assert read.fields["text_en"] == read.fields["site_name"] == read.fields["address"] == nasty.replace("\n", " ")
    assert read.fields["open"] == 1


def test_a_place_is_the_nearest_that_is_known() -> None:
    at_site = City([], [Site("s", "", spot=Spot(1.0, 2.0))], [Gateway("g", "", "s")])
    at_gateway = City([], [Site("s", "", spot=Spot(1.0, 2.0))], [Gateway("g", "", "s", spot=Spot(3.0, 4.0))])
    assert state(alarm(site="s"), city=at_site).fields["latitude"] == 1.0
    assert state(alarm(site="s"), city=at_gateway).fields["latitude"] == 3.0
    assert state(alarm(site="s"), city=at_gateway, spot=Spot(5.0, 6.0)).fields["longitude"] == 6.0


def test_ages_are_never_below_nothing_and_a_target_of_none_has_no_share() -> None:
    ahead = state(alarm(), now_us=NOW_US - 5_000_000)
    assert ahead.fields["age_s"] == 0.0
    assert {"target_s", "share"}.isdisjoint(ahead.fields)
    assert state(alarm(target_s=300), now_us=NOW_US + 450_000_000).fields["share"] == 1.5


def test_a_drill_is_open_while_it_lasts() -> None:
    assert state(alarm(mode=Mode.DRILL)).fields["open"] == 1
    assert state(alarm(mode=Mode.DRILL, cleared_at_us=NOW_US)).fields["open"] == 0
    assert state(alarm(cleared_at_us=NOW_US)).fields["open"] == 1


@given(st.integers(1, 10**9), st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_steps_of_one_millisecond_are_points_of_their_own(first: int, later_us: list[int]) -> None:
    steps = [Step(first + at, NOW_US + us, "raised", "a" * 24) for at, us in enumerate(later_us)]
    lines = list(event_lines({}, {"a" * 24: alarm()}, steps))
    assert len({Line.read(line).at_us for line in lines}) == len(steps)
    assert list(event_lines({}, {}, steps)) == []
