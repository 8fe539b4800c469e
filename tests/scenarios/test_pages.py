"""The pages say what scenarios can: every key stands in its table, and the examples run."""

import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from msgspec import Struct

from simulators.scenario import expecting, model
from simulators.scenario.loader import load_scenario, shipped
from tests.test_docs import blocks, keys_of, table_below

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "scenarios.md").read_text("utf-8")
SIGNALS = get_args(model.SignalDef)
TABLES = [
    ("### `[scenario]`", model.Head),
    ("### `[[site]]`", model.SiteRef),
    ("### `[[drive]]`", model.Drive),
    ("### `[[file]]`", model.FileRef),
    ("### `[[prepare]]`", model.Prepare),
] + [(f'### `[[signal]]` with `signal = "{signal.__struct_config__.tag}"`', signal) for signal in SIGNALS]


@pytest.mark.parametrize(("words", "struct"), TABLES, ids=[words for words, _ in TABLES])
def test_a_table_has_every_key_and_no_other(words: str, struct: type[Struct]) -> None:
    rows = table_below(PAGE, words)
    assert rows.keys() == keys_of(struct)
    for field in msgspec.structs.fields(struct):
        assert ("required" in rows[field.encode_name]) is field.required


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: str(signal.__struct_config__.tag))
def test_every_part_of_a_signal_is_named(signal: Any) -> None:
    _, _, section = PAGE.partition(f'`[[signal]]` with `signal = "{signal.__struct_config__.tag}"`\n')
    text = section.partition("\n###")[0]
    made = {"patrol": {"points": 2, "every_s": 1}}.get(signal.__struct_config__.tag, {})
    needed = {field.name: 1.0 for field in msgspec.structs.fields(signal) if field.required} | {"id": "s"} | made
    assert {part for part in signal(**needed).parts if f"`{part}`" not in text} == set()


def row(section: str, tag: str) -> str:
    _, _, below = PAGE.partition(f"\n## {section}\n")
    (found,) = [line for line in below.partition("\n## ")[0].splitlines() if line.startswith(f"| `{tag}` |")]
    return found


@pytest.mark.parametrize("action", get_args(model.Action), ids=lambda action: str(action.__struct_config__.tag))
def test_every_event_is_explained_with_its_keys(action: type[Struct]) -> None:
    told = row("What happens: `[[at]]`", str(action.__struct_config__.tag))
    assert {key for key in keys_of(action) - {"do", "t", "id"} if f"`{key}`" not in told} == set()


@pytest.mark.parametrize(
    "wanted", get_args(expecting.Expectation), ids=lambda wanted: str(wanted.__struct_config__.tag)
)
def test_every_expectation_is_explained_with_its_keys(wanted: type[Struct]) -> None:
    told = row("What must come of it: `[[expect]]`", str(wanted.__struct_config__.tag))
    common = {"what", "after", "within_s"}
    if issubclass(wanted, expecting.Raised.__mro__[1]):
        common |= keys_of(expecting.Raised)
    assert {key for key in keys_of(wanted) - common if f"`{key}`" not in told} == set()


def test_every_shipped_scenario_is_listed() -> None:
    assert set(re.findall(r"^\| `([\w-]+)` \| [^|`]*(?:`kill -9`[^|]*)?\|$", PAGE, re.MULTILINE)) >= set(shipped())


def test_the_scenario_shown_is_in_order(tmp_path: Path) -> None:
    (tmp_path / "school.toml").write_text((DOCS / "examples" / "school.toml").read_text("utf-8"), "utf-8")
    path = tmp_path / "gate-panic.toml"
    path.write_text(blocks(PAGE, "toml")[0], "utf-8")
    assert load_scenario(path).driven
