"""docs/contract.md says what the code does: its examples are the golden messages, its tables name every word."""

import json
import re
from pathlib import Path

import pytest

from contract import limits
from contract.alarms import Mode, Severity, Transition
from contract.compression import ContentEncoding
from contract.errors import Refusal
from contract.receipts import Verdict
from contract.telemetry import Lane
from contract.topics import CLOUD_READY, Channel, every
from tests.contract.golden import V1

PAGE = (Path(__file__).parents[2] / "docs" / "contract.md").read_text()
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
GOLDEN_JSON = {path.name: json.loads(path.read_text()) for path in V1.glob("*.json")}
WORDS = [word.value for words in (Channel, Refusal, Verdict, Severity, Mode, Lane, ContentEncoding) for word in words]
LIMITS = {name: value for name, value in vars(limits).items() if name.isupper()}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_a_golden_message(example: str) -> None:
    assert json.loads(example) in GOLDEN_JSON.values()


def test_every_kind_of_message_has_an_example() -> None:
    shown = [json.loads(example) for example in EXAMPLES]
    for file in ("telemetry", "alarm_raised", "alarm_cleared", "birth_with_lines", "death_lost", "death_stopped"):
        assert GOLDEN_JSON[f"{file}.json"] in shown


@pytest.mark.parametrize("word", WORDS)
def test_every_word_of_a_closed_set_is_explained(word: str) -> None:
    assert f"`{word}`" in PAGE


@pytest.mark.parametrize("transition", Transition)
def test_every_type_of_alarm_event_is_explained(transition: Transition) -> None:
    assert f"`langyan.alarm.{transition.value}`" in PAGE


@pytest.mark.parametrize(("name", "value"), LIMITS.items())
def test_every_limit_stands_there_with_its_number(name: str, value: int) -> None:
    (row,) = [line for line in PAGE.splitlines() if f"`{name}`" in line]
    assert re.search(rf"\b{value}\b", row)


def test_the_subscriptions_stand_there() -> None:
    for topic in (CLOUD_READY, every(Channel.TELEMETRY, group="ingest"), every(Channel.ALARM, group="desk")):
        assert f"`{topic}`" in PAGE
