"""What came of a scenario: as values, as JSON and as JUnit XML."""

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree as ET

from msgspec import Struct

from simulators.scenario.judge import describe
from simulators.scenario.loader import Scenario
from simulators.scenario.record import Record
from simulators.scenario.verdict import Verdict


class Wishes(Struct, frozen=True):
    """How scenarios are played.

    Attributes:
        keep: folder in which each leaves one of its name; None keeps nothing.
        slack: what must happen within a time may take so many times as long.
        profiles: folder with profiles of one's own.
    """

    keep: Path | None = None
    slack: float = 1.0
    profiles: Path | None = None


class Result(Struct, frozen=True):
    """One expectation and what became of it.

    Attributes:
        line: in the scenario's file, where that could be told.
        expected: in the words of the file.
        is_met: it came true.
        said: why, in English.
        took_s: from the event it comes after, where it is a moment.
        verdict: the same as `said`, to be translated.
    """

    line: int | None
    expected: str
    is_met: bool
    said: str
    took_s: float | None
    verdict: Verdict


class Report(Struct, frozen=True):
    """One scenario, played.

    Attributes:
        name, file, seed: which.
        results: one for each `[[expect]]`, in the file's order.
        alarms: alarm events that arrived.
        readings, lost, twice: of all devices that are asked.
        took_s: with starting and stopping.
        error: why it could not be played to its end; "" when it was.
    """

    name: str
    file: str
    seed: int
    results: tuple[Result, ...] = ()
    alarms: int = 0
    readings: int = 0
    lost: int = 0
    twice: int = 0
    took_s: float = 0.0
    error: str = ""

    @property
    def is_good(self) -> bool:
        """Tell whether it was played, and everything that was expected came true."""
        return not self.error and all(result.is_met for result in self.results)


class Reports(Struct, frozen=True):
    """Several scenarios, as `--json` writes them."""

    is_good: bool
    scenarios: tuple[Report, ...]


def make_report(scenario: Scenario, record: Record, verdicts: dict[int, Verdict], *, took_s: float) -> Report:
    """Put a played scenario together."""
    losses = (record.losses or {}).values()
    head = scenario.file.scenario
    return Report(
        name=head.name,
        file=str(scenario.path),
        seed=head.seed,
        results=tuple(
            Result(scenario.lines[number], describe(expected), verdict.is_met, str(verdict.render()),
                   verdict.took_s, verdict)
            for number, expected in enumerate(scenario.file.expect)
            for verdict in [verdicts[number]]
        ),
        alarms=len(record.alarms),
        readings=sum(loss.produced for loss in losses),
        lost=sum(loss.lost for loss in losses),
        twice=sum(loss.twice for loss in losses),
        took_s=round(took_s, 2),
    )  # fmt: skip


def to_junit(reports: Iterable[Report]) -> bytes:
    """Write JUnit XML, as CI servers read it: a suite for each scenario, a case for each expectation."""
    root = ET.Element("testsuites")
    for report in reports:
        failures = sum(not result.is_met for result in report.results)
        cases = len(report.results) + bool(report.error)
        counts = {"tests": cases, "failures": failures, "errors": int(bool(report.error)), "skipped": 0}
        suite = ET.SubElement(
            root, "testsuite", {"name": report.name, **{key: str(count) for key, count in counts.items()}}
        )
        suite.set("time", f"{report.took_s:.2f}")
        for number, result in enumerate(report.results, 1):
            case = _case(suite, report, f"{number}. {result.expected}", result.took_s or 0.0)
            case.set("line", str(result.line or 0))
            if not result.is_met:
                ET.SubElement(case, "failure", message=result.said).text = f"{report.file}:{result.line}: {result.said}"
        if report.error:
            ET.SubElement(_case(suite, report, "played to its end", 0.0), "error", message=report.error)
    ET.indent(root)
    written: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return written + b"\n"


def _case(suite: ET.Element, report: Report, name: str, took_s: float) -> ET.Element:
    given = {"classname": f"langyan.{report.name}", "name": name, "time": f"{took_s:.3f}", "file": report.file}
    return ET.SubElement(suite, "testcase", given)
