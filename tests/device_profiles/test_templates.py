"""Fault templates are literals, so that they can be collected for translation."""

import ast
from pathlib import Path
from string import Formatter

import pytest

import device_profiles

FILES = sorted(Path(device_profiles.__file__).parent.glob("*.py"))


def marked(file: Path) -> list[ast.Call]:
    calls = [node for node in ast.walk(ast.parse(file.read_text("utf-8"))) if isinstance(node, ast.Call)]
    return [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "N_"]


def test_templates_are_found_at_all() -> None:
    assert sum(len(marked(file)) for file in FILES) > 80


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_template_is_one_literal_with_named_placeholders(file: Path) -> None:
    for call in marked(file):
        (text,) = call.args
        assert isinstance(text, ast.Constant)
        assert isinstance(text.value, str)
        assert all(name is None or name.isidentifier() for _, name, _, _ in Formatter().parse(text.value))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_fault_is_never_given_a_template_put_together_on_the_spot(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "fault":
            assert isinstance(node.args[1], ast.Name | ast.Call)
            assert not isinstance(node.args[1], ast.Call) or ast.unparse(node.args[1].func) == "N_"
