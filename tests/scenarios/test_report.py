"""Reports: what a CI server reads."""

from xml.etree import ElementTree as ET

import msgspec

from langyan.scenario.report import Report, Reports, Result, to_junit
from simulators.scenario.verdict import Verdict

MET = Result(7, "raised a panic", is_met=True, said="after 0.1 s", took_s=0.1, verdict=Verdict(True, "after 0.1 s"))
FAILED = Result(9, 'not-raised "<smoke>"', is_met=False, said="came: x", took_s=None, verdict=Verdict(False, "came: x"))


def test_junit_has_a_case_for_each_expectation_and_names_the_line_of_what_failed() -> None:
    reports = [
        Report("one", "one.toml", 1, (MET, FAILED), took_s=3.0),
        Report("two", "two.toml", 1, error="no broker"),
    ]
    root = ET.fromstring(to_junit(reports))  # noqa: S314 - our own
    one, two = root
    assert [one.get(key) for key in ("name", "tests", "failures", "errors", "time")] == ["one", "2", "1", "0", "3.00"]
    assert [case.get("name") for case in one] == ["1. raised a panic", '2. not-raised "<smoke>"']
    failure = one.find("testcase/failure")
    assert failure is not None
    assert failure.text == "one.toml:9: came: x"
    assert [two.get(key) for key in ("tests", "failures", "errors")] == ["1", "0", "1"]


def test_json_is_read_back_and_says_whether_all_is_well() -> None:
    reports = Reports(is_good=False, scenarios=(Report("one", "one.toml", 1, (MET, FAILED)),))
    assert msgspec.json.decode(msgspec.json.encode(reports), type=Reports) == reports
    assert not reports.scenarios[0].is_good
    assert Report("one", "one.toml", 1, (MET,)).is_good
    assert not Report("one", "one.toml", 1, (MET,), error="x").is_good
