"""Dashboards of kinds of devices: points, units, ranges and limits are those of the profiles."""

import re

import grafana_foundation_sdk.models.units as known_units
from hypothesis import given
from hypothesis import strategies as st

from cloud.grafana.board import Context
from cloud.grafana.boards import device_type
from cloud.grafana.boards.device_kinds import title_of
from cloud.grafana.kind_points import Family, Limit, families, severity_steps
from cloud.grafana.kind_uid import uid_of
from cloud.grafana.units import NONE, unit_of
from cloud.influx.schema import LEVELS
from contract.alarms import Severity
from contract.ids import ID_PATTERN
from contract.units import UNITS
from device_profiles.codec import ValueKind
from device_profiles.model import HeardDef, HeardKind, Profile, ThresholdRule
from tests.cloud.grafana_stock import profiles

GRAFANAS = {value for value in vars(known_units).values() if isinstance(value, str)}
ids = st.from_regex(ID_PATTERN.removesuffix(r"\Z"), fullmatch=True)
limits = st.lists(
    st.builds(Limit, st.floats(-100, 100).map(lambda value: round(value, 1)), st.booleans(), st.sampled_from(Severity)),
    max_size=5,
)


def heard(key: str, kind: HeardKind, unit: str | None = None, reach: tuple[float, float] | None = None) -> HeardDef:
    name = {"en": key.upper(), "zh": f"点 {key}"}
    return HeardDef(key=key, name=name, kind=kind, source="a test", unit=unit, range=reach)


def profile(*points: HeardDef, model: str = "one") -> Profile:
    return Profile(
        profile=f"own/{model}", version="1", maker="own", model=model, title={"en": "t", "zh": "t"}, kind="teapot",
        sources=("a test",), heard=points,
    )  # fmt: skip


def only(kind: str) -> tuple[Profile, ...]:
    return tuple(one for one in profiles() if one.kind == kind)


def test_every_unit_of_a_profile_is_one_of_grafanas_or_written_behind_the_number() -> None:
    for unit in UNITS:
        found = unit_of(unit)
        assert found in GRAFANAS or re.match(r"(suffix|prefix):.*\S", found), unit
    assert unit_of(None) == NONE
    assert (unit_of("Cel"), unit_of("km/h"), unit_of("%RH")) == ("celsius", "velocitykmh", "humidity")
    assert unit_of("S/m") == "suffix: S/m"


@given(one=ids, other=ids)
def test_every_kind_has_a_uid_of_its_own_that_grafana_takes(one: str, other: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,40}", uid_of(one))
    assert (uid_of(one) == uid_of(other)) == (one == other)
    assert uid_of("smoke-detector") == "langyan-kind-smoke-detector"


def test_every_kind_of_the_catalogue_has_a_name_in_both_languages() -> None:
    for kind in {one.kind for one in profiles()}:
        english = title_of(Context(), kind)
        assert english != kind
        assert title_of(Context(language="zh"), kind) != english
    assert title_of(Context(language="zh"), "teapot") == "teapot"


@given(rules=limits, value=st.floats(-110, 110))
def test_a_colour_says_the_worst_severity_of_all_limits(rules: list[Limit], value: float) -> None:
    if any(abs(value - one.value) < 1e-6 for one in rules):
        return
    steps = severity_steps(rules)
    begins = [at for at, _severity in steps]
    assert begins[0] is None
    assert begins[1:] == sorted({at for at in begins[1:] if at is not None})
    shown = [severity for at, severity in steps if at is None or value >= at][-1]
    holds = [one.severity for one in rules if (value > one.value if one.is_above else value < one.value)]
    assert shown == max(holds, key=lambda one: LEVELS[one.value], default=None)


def test_points_that_are_numbered_are_drawn_together_and_others_alone() -> None:
    found = families([
        profile(
            heard("voltage_1", HeardKind.NUMBER, "V", (0, 300)), heard("voltage_2", HeardKind.NUMBER, "V", (0, 300)),
            heard("door", HeardKind.STATE), heard("time", HeardKind.WORD),
        ),
        profile(
            heard("voltage_2", HeardKind.NUMBER, "V", (-5, 250)), heard("voltage_3", HeardKind.NUMBER, "kV"),
            model="two",
        ),
    ])  # fmt: skip
    assert [[one.field for one in family.members] for family in found] == [
        # A field is never called like a tag, or `time`.
        ["voltage_1", "voltage_2"], ["door"], ["time_"], ["voltage_3"],
    ]  # fmt: skip
    assert (found[0].low, found[0].high, found[0].unit) == (-5, 300, "volt")
    assert [one.kind for one in found[1:3]] == [ValueKind.STATE, ValueKind.WORD]
    assert found[3].low is None


def test_a_range_that_one_profile_does_not_know_is_nobodys() -> None:
    first, second = heard("x", HeardKind.NUMBER, "m", (0, 9)), heard("x", HeardKind.NUMBER, "m")
    (family,) = families([profile(first), profile(second, model="two")])
    assert (family.low, family.high) == (None, None)


def family_of(kind: str, field: str) -> Family:
    return next(one for one in families(only(kind)) if field in [member.field for member in one.members])


def test_limits_and_alarms_are_those_of_the_rules() -> None:
    temperature = family_of("climate-sensor", "temperature")
    above = {one.value for one in temperature.limits if one.is_above}
    rules = [rule for one in only("climate-sensor") for rule in one.rule if isinstance(rule, ThresholdRule)]
    assert above == {one.above for one in rules if one.above is not None and "temperature" in one.points} != set()
    assert family_of("panic-button", "button_1").alarm_when == (True, Severity.CRITICAL)
    assert family_of("panic-button", "output_1").alarm_when is None
    assert family_of("weather-station", "wind_sector").is_enumerated


def test_a_dashboard_has_every_point_with_its_unit_and_range() -> None:
    for kind in ("weather-station", "alarm-host", "vehicle-terminal"):
        (board,) = device_type.boards(Context(profiles=only(kind)))
        panels = board.build()["panels"]
        asked = " ".join(target["query"] for panel in panels for target in panel.get("targets", ()))
        for family in families(only(kind)):
            for member in family.members:
                assert f'"{member.field}"' in asked
            if family.kind is ValueKind.NUMBER and family.unit not in {"degree", NONE}:
                field = f'last("{family.members[0].field}")'
                (latest,) = [
                    panel["fieldConfig"]["defaults"]
                    for panel in panels
                    if panel["type"] == "bargauge" and panel["targets"][0]["query"].startswith(f"SELECT {field}")
                ]
                assert latest["unit"] == family.unit
                if family.low is not None:
                    assert (latest["min"], latest["max"]) == (family.low, family.high)


def test_titles_are_names_of_points_in_the_language_of_the_dashboards() -> None:
    own = profile(heard("cup_1", HeardKind.NUMBER), heard("cup_2", HeardKind.NUMBER), heard("lid", HeardKind.STATE))
    for language, titles in (("en", {"CUP_1 … CUP_2", "LID"}), ("zh", {"点 cup_1 … 点 cup_2", "点 lid"})):
        (board,) = device_type.boards(Context(language=language, profiles=(own,)))
        assert titles <= {panel.get("title") for panel in board.build()["panels"]}


def test_what_a_dashboard_asks_for_is_bounded_however_many_devices_there_are() -> None:
    (board,) = device_type.boards(Context(profiles=only("smoke-detector")))
    variables = {one["name"]: one for one in board.build()["templating"]["list"]}
    assert variables["device"]["query"].endswith(f"LIMIT {device_type.MOST}")
    assert variables["site"]["query"].endswith(f"LIMIT {device_type.MOST_SITES}")


def test_a_point_read_seldom_is_not_cut_into_pieces() -> None:
    (point,) = only("rain-gauge")[0].point
    (family,) = families(only("rain-gauge"))
    assert family.every_s == point.every_s
    (board,) = device_type.boards(Context(profiles=only("rain-gauge")))
    (drawn,) = [panel for panel in board.build()["panels"] if panel["type"] == "timeseries"]
    assert drawn["fieldConfig"]["defaults"]["custom"]["insertNulls"] >= 3_000 * point.every_s
