"""Reading a TOML file: faults of the text itself, lines of keys, and the strict conversion into structs."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from contract.ids import Id
from device_profiles.faults import ConfigError, Fault, listed, near, shown
from device_profiles.strict import read_fields
from device_profiles.toml_file import MAX_BYTES, Place, TomlFile, find_lines


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


class Leaf(Struct, frozen=True, forbid_unknown_fields=True):
    key: Id
    size: Annotated[int, Meta(ge=1, le=9)] = 1
    colour: Colour = Colour.RED


class Round(Struct, frozen=True, forbid_unknown_fields=True, tag_field="shape", tag="round"):
    radius: float


class Square(Struct, frozen=True, forbid_unknown_fields=True, tag_field="shape", tag="square"):
    side: float


class Tree(Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    leaf: tuple[Leaf, ...] = ()
    form: Round | Square | None = None
    forms: tuple[Round | Square, ...] = ()
    words: tuple[Id, ...] = ()
    sizes: dict[str, float] = {}
    pair: tuple[float, float] | None = None
    done: bool = False


def faults_of(text: str) -> list[str]:
    toml = TomlFile("tree.toml", text)
    read_fields(toml, Tree)
    return [str(fault) for fault in toml.faults]


def test_a_good_file_becomes_the_struct_it_describes() -> None:
    toml = TomlFile(
        "tree.toml", 'name = "t"\npair = [1, 2.5]\nform = { shape = "round", radius = 3 }\n[[leaf]]\nkey = "a"'
    )
    assert Tree(**read_fields(toml, Tree)) == Tree(name="t", leaf=(Leaf("a"),), form=Round(3.0), pair=(1.0, 2.5))
    toml.raise_faults()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "tree.toml: name: is missing"),
        (
            'name = "t"\ncolor = 1',
            "tree.toml:2: color: unknown key; allowed: done, form, forms, leaf, name, pair, sizes, words",
        ),
        ('name = "t"\nlaef = 1', "tree.toml:2: laef: unknown key; did you mean leaf? Allowed: "),
        ("name = 5", "tree.toml:1: name: must be text in quotes, not 5"),
        ('name = "t"\ndone = 1', "tree.toml:2: done: must be true or false, not 1"),
        ('name = "t"\nleaf = 3', "tree.toml:2: leaf: must be a list, not 3"),
        ('name = "t"\n[leaf]\nkey = "a"', "tree.toml:2: leaf: must be a list, not a table"),
        ('name = "t"\nleaf = [1]', "tree.toml:2: leaf[1]: must be a table, not 1"),
        ('name = "t"\n[[leaf]]\nsize = 2', "tree.toml:2: leaf[1].key: is missing"),
        (
            'name = "t"\n[[leaf]]\nkey = "a"\n\nsize = 10',
            'tree.toml:5: leaf[1] "a".size: 10 is out of limits: >= 1, <= 9',
        ),
        (
            'name = "t"\n[[leaf]]\nkey = "a"\nsize = 1.5',
            'tree.toml:4: leaf[1] "a".size: must be a whole number, not 1.5',
        ),
        ('name = "t"\n[[leaf]]\nkey = "a"\nsize = true', 'leaf[1] "a".size: must be a whole number, not true'),
        ('name = "t"\n[[leaf]]\nkey = "a b"', 'tree.toml:3: leaf[1] "a b".key: "a b" is no id: 1 to 64 of A-Z'),
        ('name = "t"\n[[leaf]]\nkey = "a\\n"', 'leaf[1] "a\\n".key: "a\\n" is no id'),
        (
            'name = "t"\n[[leaf]]\nkey = "a"\n[[leaf]]\nkey = "b"\ncolour = "gren"',
            'tree.toml:6: leaf[2] "b".colour: cannot be "gren"; did you mean green? Allowed: red, green',
        ),
        ('name = "t"\nform = { radius = 1 }', "tree.toml:2: form.shape: is missing; allowed: round, square"),
        ('name = "t"\nform = { shape = "oval" }', 'form.shape: cannot be "oval"; allowed: round, square'),
        ('name = "t"\nform = { shape = "round", side = 1, radius = 1 }', "form.side: unknown key; allowed: radius"),
        ('name = "t"\n[[forms]]\nshape = "square"', "tree.toml:2: forms[1].side: is missing"),
        ('name = "t"\nwords = ["ok", "not ok"]', 'tree.toml:2: words[2]: "not ok" is no id'),
        ('name = "t"\n[sizes]\na = 1\nb = "x"', 'tree.toml:4: sizes.b: must be a number, not "x"'),
        ('name = "t"\nsizes = 1', "sizes: must be a table, not 1"),
        ('name = "t"\npair = [1, nan]', "tree.toml:2: pair: nan is not a finite number"),
        ('name = "t"\nform = { shape = "round", radius = inf }', "form.radius: inf is not a finite number"),
        ('name = "t"\npair = [1]', "tree.toml:2: pair: "),
        ('name = "t"\n[[leaf]]\nkey = "a"\nsize = ' + "9" * 400, "size: a number of over 70 digits is out of limits"),
        ('name = "t"\n"ke\\ny" = 1', "tree.toml: ke\\ny: unknown key"),
        ("name = 2024-01-01", "tree.toml:1: name: must be text in quotes, not 2024-01-01"),
    ],
)
def test_a_fault_names_line_key_and_what_is_allowed(text: str, fault: str) -> None:
    found = faults_of(text)
    assert len(found) == 1
    assert fault in found[0]
    assert "\n" not in found[0]


def test_all_faults_are_found_in_one_go() -> None:
    text = 'nmae = "t"\nwords = [1, "ok", 2]\n[[leaf]]\nsize = 0\ncolour = "blue"\n[[leaf]]\nkey = "b"\nsiez = 1'
    assert sorted(fault.partition(": ")[2].partition(": ")[0] for fault in faults_of(text)) == [
        "leaf[1].colour",
        "leaf[1].key",
        "leaf[1].size",
        'leaf[2] "b".siez',
        "name",
        "nmae",
        "words[1]",
        "words[3]",
    ]


def test_what_is_good_is_read_although_something_else_is_not() -> None:
    toml = TomlFile("tree.toml", 'name = 1\n[[leaf]]\nsize = 2\n[[leaf]]\nkey = "b"\nsize = 99')
    fields = read_fields(toml, Tree)
    assert fields == {"leaf": (Leaf("b"),)}
    assert toml.place_of(fields["leaf"][0]) == ("leaf", 1)
    assert toml.names("leaf", "key") == {"b"}
    assert not toml.is_clean(("leaf", 1))
    assert toml.is_clean(("leaf", 1, "colour"))


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('a = 1\nb = "x\n', 2, "is not TOML"),
        ("a = 1\n\n[t\n", 3, "is not TOML"),
        ("a = 1\na = 2\n", 2, "is not TOML"),
        ('a = """\nx\n', 3, "is not TOML"),
        ("a = " + "[" * 20_000, None, "is nested too deep"),
        ("a = " + "9" * 5_000, None, "is not TOML"),
    ],
)
def test_a_syntax_error_is_one_fault_with_its_line(text: str, line: int | None, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        TomlFile("bad.toml", text)
    (fault,) = caught.value.faults
    assert (fault.file, fault.line) == ("bad.toml", line)
    assert said in str(fault)


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "large.toml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than 1048576 bytes"):
        TomlFile.read(path)
    path.write_bytes(b"#" * MAX_BYTES)
    assert TomlFile.read(path).data == {}


def test_a_file_that_is_not_there_or_not_text_is_one_fault(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        TomlFile.read(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        TomlFile.read(tmp_path)
    path = tmp_path / "gbk.toml"
    path.write_bytes('a = 1\nname = "狼烟"\n'.encode("gbk"))
    with pytest.raises(ConfigError, match=r"gbk\.toml:2: is not UTF-8 text"):
        TomlFile.read(path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "bom.toml"
    path.write_bytes(b'\xef\xbb\xbfa = "x"')
    assert TomlFile.read(path).data == {"a": "x"}


LINES = """\
# a comment = 1
name = "x"
long = '''
name = "inside a string"
[not.a.table]
'''
"quoted key" = 1
list = [
  "a",
]
[gateway]
id = "g" # [comment]
a.b = 1
[[device]]
id = "one"
  [[device.rule]]
  key = "r1"
  [[device.rule]]
  key = "r2"
  [device.rule.text]
  en = "x"
[[device]]
id = "two"
[[device.rule]]
key = "r1"
[device.simulate]
count_in = "t"
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        (("name",), 2),
        (("long",), 3),
        (("not",), None),
        (("quoted key",), 7),
        (("list", 0), 8),
        (("gateway",), 11),
        (("gateway", "id"), 12),
        (("gateway", "a", "b"), 13),
        (("gateway", "missing"), 11),
        (("device", 0), 14),
        (("device", 0, "id"), 15),
        (("device", 0, "rule", 0, "key"), 17),
        (("device", 0, "rule", 1), 18),
        (("device", 0, "rule", 1, "key"), 19),
        (("device", 0, "rule", 1, "text", "en"), 21),
        (("device", 1, "id"), 23),
        (("device", 1, "rule", 0, "key"), 25),
        (("device", 1, "simulate", "count_in"), 27),
        (("device", 1, "unit"), 22),
    ],
)
def test_a_place_has_the_line_of_its_key_or_of_the_table_around_it(place: Place, line: int | None) -> None:
    assert TomlFile("lines.toml", LINES).line_of(place) == line


@given(st.text())
def test_looking_for_lines_takes_any_text(text: str) -> None:
    for line in find_lines(text).values():
        assert 1 <= line <= len(text.splitlines())


def test_a_fault_is_translated_before_it_is_filled() -> None:
    fault = Fault("f.toml", "unit", 3, "{value} is out of limits: {limits}", {"value": "{5}", "limits": "1"})
    chinese = {"{value} is out of limits: {limits}": "{value} 超出范围：{limits}"}
    assert fault.render(lambda text: chinese[text]) == "f.toml:3: unit: {5} 超出范围：1"
    assert str(fault) == "f.toml:3: unit: {5} is out of limits: 1"


def test_an_error_lists_its_faults_one_a_line() -> None:
    error = ConfigError([Fault("a.toml", "x", 1, "one"), Fault("b.toml", "", None, "two")])
    assert str(error).splitlines() == ["a.toml:1: x: one", "b.toml: two"]


def test_near_words_are_best_first_and_ignore_case() -> None:
    assert near("Cell", ["Cel", "m", "kg"]) == "Cel"
    assert near("zzz", ["Cel"]) == ""


def test_a_shown_value_is_short_and_in_one_line() -> None:
    assert shown("学校\n") == '"学校\\n"'
    assert len(shown("x" * 1000)) < 70
    assert shown(10**5000) == "a number of over 70 digits"
    assert shown(value=True) == "true"
    assert listed([]) == "-"
