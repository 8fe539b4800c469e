"""The made-up county of the pictures: it says what the schema knows, and its counts are those of its lines."""

from collections import Counter

from cloud.influx.schema import MEASUREMENTS, policy_of
from scripts.drawn import story
from tests.cloud.api_rig import NOW_US


def test_the_story_is_of_the_schema_and_adds_up() -> None:
    said = [(policy, line.decode()) for policy, line in story.lines(NOW_US)]
    for policy, line in said:
        name = line.partition(",")[0]
        assert name in MEASUREMENTS
        assert policy == policy_of(name)
    alarms = [line for _, line in said if line.startswith("alarm_state,")]
    heard = Counter(line.partition('level="')[2].partition('"')[0] for line in alarms if "suppressed=false" in line)
    *_, everything = (line for _, line in said if line.startswith("area_state,area=all,"))
    assert all(f"{level}={count}i" in everything for level, count in heard.items())
    assert f"open={heard.total()}i" in everything
    assert "unacknowledged=1i" in everything
    assert "over_target=1i" in everything
    assert max(int(line.rpartition(" ")[2]) for _, line in said) <= NOW_US
