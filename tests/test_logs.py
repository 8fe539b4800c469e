import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langyan import logs
from langyan.logs import JournalFormatter, LimitedHandler, Limiter, LogfmtFormatter, PlainFormatter

KEY = ("edge.bus", logging.WARNING, "device %s is mute")


def test_so_many_lines_of_a_kind_a_minute_and_then_their_number() -> None:
    limiter = Limiter(at_most=3)
    assert [limiter.lets_pass(KEY, now) for now in (0, 1, 2, 3, 59)] == [True, True, True, False, False]
    assert limiter.lets_pass(("edge.bus", logging.WARNING, "another"), 59)
    assert limiter.over(59.9) == []
    assert limiter.over(60.0) == [(KEY, 2)]
    assert limiter.over(61.0) == []
    assert limiter.lets_pass(KEY, 61.0)


def test_a_quiet_kind_needs_no_summing_up() -> None:
    limiter = Limiter(at_most=3)
    limiter.lets_pass(KEY, 0.0)
    assert limiter.over(60.0) == []


def test_the_kinds_remembered_are_bounded() -> None:
    limiter = Limiter(at_most=1)
    for number in range(logs.MAX_KINDS * 3):
        limiter.lets_pass(("x", 20, str(number)), 0.0)
    assert len(limiter._kinds) == logs.MAX_KINDS


@given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from("ab")), max_size=100), st.integers(1, 5))
def test_every_line_is_written_or_counted(steps: list[tuple[float, str]], at_most: int) -> None:
    limiter, now, written, counted = Limiter(at_most=at_most), 0.0, 0, 0
    for pause, kind in steps:
        now += pause
        counted += sum(count for _, count in limiter.over(now))
        written += limiter.lets_pass(("x", 20, kind), now)
    counted += sum(count for _, count in limiter.over(now + logs.MINUTE_S))
    assert written + counted == len(steps)


class Log:
    """A handler on a virtual clock."""

    def __init__(self, formatter: logging.Formatter, *, secrets: tuple[str, ...] = ()) -> None:
        self.now = 0.0
        self.stream = io.StringIO()
        self.handler = LimitedHandler(
            self.stream, limiter=Limiter(at_most=2), secrets=secrets, clock=lambda: self.now
        )  # fmt: skip
        self.handler.setFormatter(formatter)
        self.log = logging.Logger("edge.bus", logging.DEBUG)  # noqa: LOG001 - one that no other test shares
        self.log.addHandler(self.handler)

    def lines(self) -> list[str]:
        return self.stream.getvalue().splitlines()


def test_held_back_lines_are_summed_up_with_the_next_line_of_any_kind() -> None:
    log = Log(JournalFormatter())
    for number in range(5):
        log.log.warning("device %s is mute", number)
    log.now = 60.0
    log.log.info("back")
    assert log.lines() == [
        '<4>part=edge.bus msg="device 0 is mute"',
        '<4>part=edge.bus msg="device 1 is mute"',
        '<4>part=edge.bus msg="and 3 more: device ... is mute"',
        "<6>part=edge.bus msg=back",
    ]


def test_what_is_held_back_at_the_end_is_said_too() -> None:
    log = Log(JournalFormatter())
    for _ in range(3):
        log.log.error("no")
    log.handler.close()
    assert log.lines()[-1] == '<3>part=edge.bus msg="and 1 more: no"'


def test_a_line_has_time_level_part_and_text_in_quotes_where_needed() -> None:
    log = Log(LogfmtFormatter())
    log.log.info('he said "no"\nand a=b \\ \x1b[31m 灯')
    (line,) = log.lines()
    time, _, rest = line.partition(" ")
    assert time.startswith("time=20")
    assert time.endswith("Z")
    assert rest == 'level=info part=edge.bus msg="he said \\"no\\"\\nand a=b \\\\ \\x1b[31m 灯"'


def test_a_secret_is_never_written_not_even_in_a_trace() -> None:
    log = Log(LogfmtFormatter(), secrets=("hunter2", "", "abc"))
    error = ValueError("password hunter2 refused")
    log.log.error("connecting with %r", {"password": "hunter2", "user": "abc"}, exc_info=error)
    (line,) = log.lines()
    assert "hunter2" not in line
    assert "ValueError: password *** refused" in line
    assert "abc" in line, "shorter than any secret, and part of ordinary words"


def test_a_secret_that_must_be_escaped_is_not_written_either() -> None:
    log = Log(LogfmtFormatter(), secrets=('a"b\\c',))
    log.log.error("with %s", 'a"b\\c')
    assert log.lines()[0].endswith('msg="with ***"')


@pytest.mark.parametrize(
    ("environ", "is_terminal", "formatter"),
    [
        ({}, True, PlainFormatter),
        ({"JOURNAL_STREAM": "8:1"}, True, PlainFormatter),
        ({"JOURNAL_STREAM": "8:1"}, False, JournalFormatter),
        ({}, False, LogfmtFormatter),
    ],
)
def test_lines_are_for_who_reads_them(environ: dict[str, str], *, is_terminal: bool, formatter: type) -> None:
    assert type(logs.choose_formatter(environ, is_terminal=is_terminal)) is formatter


PROGRAM = """
import logging, os
from langyan.logs import start_logging
start_logging(verbose=False, environ=os.environ, secrets=["hunter2"])
for n in range(25):
    logging.getLogger("x").warning("again %d", n)
raise RuntimeError("we sent hunter2")
"""


def test_a_whole_process_tells_its_end_without_secrets() -> None:
    env = {**os.environ, "JOURNAL_STREAM": "8:1"}
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=30, env=env,
        cwd=Path(__file__).parent.parent,
    )  # fmt: skip
    lines = said.stderr.splitlines()
    assert said.returncode == 1
    assert "hunter2" not in said.stderr
    assert lines[logs.LINES_A_MINUTE - 1] == '<4>part=x msg="again 19"'
    assert lines[-2].startswith('<2>part=langyan msg="ended by an error of our own" trace="Traceback')
    assert "RuntimeError: we sent ***" in lines[-2]
    assert lines[-1] == '<4>part=x msg="and 5 more: again ..."'
