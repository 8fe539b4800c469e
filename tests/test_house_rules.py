"""The house rules, checked on the syntax tree of every file: sizes, errors, tasks, queues, docstrings, state."""

import ast
import builtins
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("langyan", "edge", "cloud", "simulators", "firmware_tools", "device_profiles", "contract")
ASIDE = ("tests", "scripts", "benchmarks")

MAX_FILE_LINES = 500
MAX_FUNCTION_LINES = 60

# Both run outside any event loop: one waits for real servers to come up, the other paces the demo's story.
MAY_SLEEP = {"langyan/servers.py", "langyan/demo/run.py"}
# What aiomqtt takes as the properties of a message is paho's; the client itself is aiomqtt's business.
PAHO_VALUES = {"paho.mqtt.properties", "paho.mqtt.packettypes"}

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def source_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def modules(folders: tuple[str, ...]) -> list[str]:
    return sorted(str(path.relative_to(ROOT)) for folder in folders for path in (ROOT / folder).rglob("*.py"))


def size_faults(tree: ast.Module, source: str) -> Iterator[str]:
    if (lines := source.count("\n")) > MAX_FILE_LINES:
        yield f"the file has {lines} lines, at most {MAX_FILE_LINES}"
    for node in ast.walk(tree):
        if isinstance(node, Function) and (lines := (node.end_lineno or 0) - node.lineno + 1) > MAX_FUNCTION_LINES:
            yield f"line {node.lineno}: {node.name} has {lines} lines, at most {MAX_FUNCTION_LINES}"


def broad_excepts(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            caught = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            if any(one is None or ast.unparse(one) in ("Exception", "BaseException") for one in caught):
                yield f"line {node.lineno}: a broad except hides our own errors"


def loose_tasks(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and _last_name(node) in ("create_task", "ensure_future"):
            yield f"line {node.lineno}: every task lives in a task group"


def unbounded_queues(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func.value if isinstance(node.func, ast.Subscript) else node.func
        name, given = _last_name(called), [*node.args, *(keyword.value for keyword in node.keywords)]
        if name == "SimpleQueue" or (name in ("Queue", "LifoQueue", "PriorityQueue") and not given):
            yield f"line {node.lineno}: a queue without a bound"
        if name == "create_memory_object_stream" and any(ast.unparse(value).endswith("inf") for value in given):
            yield f"line {node.lineno}: a stream without a bound"


def missing_docstrings(tree: ast.Module) -> Iterator[str]:
    if ast.get_docstring(tree) is None:
        yield "the module has no docstring"
    for node in _public_definitions(tree):
        if ast.get_docstring(node) is None:
            yield f"line {node.lineno}: {node.name} has no docstring"


def misnamed_errors(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and not node.name.endswith("Error"):
            bases = [_last_name(base) for base in node.bases]
            if any(base.endswith("Error") or _is_builtin_exception(base) for base in bases):
                yield f"line {node.lineno}: exception {node.name} does not end in Error"


def module_state(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            yield f"line {node.lineno}: a global statement"
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and _is_mutable(node.value):
            for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                if isinstance(target, ast.Name) and not target.id.isupper() and target.id != "__all__":
                    yield f"line {node.lineno}: {target.id} is state of the module"


def sleeps(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep":
            yield f"line {node.lineno}: time.sleep holds up everything"


def paho_clients(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
        if any(name.partition(".")[0] == "paho" and name not in PAHO_VALUES for name in names):
            yield f"line {node.lineno}: edge talks MQTT through aiomqtt"


def unfinished(source: str) -> Iterator[str]:
    for number, line in enumerate(source.splitlines(), 1):
        if re.search(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X)\b", line):
            yield f"line {number}: unfinished: {line.strip()}"


def machine_paths(source: str) -> Iterator[str]:
    for number, line in enumerate(source.splitlines(), 1):
        if re.search(r"(?<![\w.-])/(wo" + r"rk|ro" + r"ot|ho" + r"me)/", line):
            yield f"line {number}: a path of one machine: {line.strip()}"


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _is_builtin_exception(name: str) -> bool:
    found = getattr(builtins, name, None)
    return isinstance(found, type) and issubclass(found, BaseException)


def _is_mutable(value: ast.expr | None) -> bool:
    makers = ("list", "dict", "set", "defaultdict", "deque", "Counter", "OrderedDict")
    if isinstance(value, ast.Call):
        return _last_name(value.func) in makers
    return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp)


def _public_definitions(node: ast.Module | ast.ClassDef) -> Iterator[Function | ast.ClassDef]:
    for child in node.body:
        if isinstance(child, Function | ast.ClassDef) and not child.name.startswith("_"):
            yield child
            if isinstance(child, ast.ClassDef):
                yield from _public_definitions(child)


def faults_of(name: str, source: str) -> Iterator[str]:
    """Say every broken rule of one file."""
    tree = ast.parse(source)
    yield from size_faults(tree, source)
    yield from broad_excepts(tree)
    yield from unfinished(source)
    if name.startswith("tests/"):
        return
    yield from machine_paths(source)
    yield from loose_tasks(tree)
    yield from unbounded_queues(tree)
    yield from missing_docstrings(tree)
    yield from misnamed_errors(tree)
    yield from module_state(tree)
    if name not in MAY_SLEEP:
        yield from sleeps(tree)
    if name.startswith("edge/"):
        yield from paho_clients(tree)


@pytest.mark.parametrize("name", modules(PACKAGES + ASIDE))
def test_a_file_keeps_the_rules(name: str) -> None:
    assert list(faults_of(name, source_of(ROOT / name))) == []


@pytest.mark.parametrize(
    "name",
    sorted(
        str(path.relative_to(ROOT))
        for pattern in ("*.md", "*.toml", "*.ini", "Makefile", "docs/**/*.md", "scripts/*", ".ci/*", "deploy/**/*.*")
        for path in ROOT.glob(pattern)
        if path.is_file()
    ),
)
def test_a_page_or_setting_names_no_machine_and_nothing_unfinished(name: str) -> None:
    text = source_of(ROOT / name)
    assert list(unfinished(text)) + list(machine_paths(text)) == []


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_has_one_root_of_its_errors(package: str) -> None:
    classes = [
        node
        for name in modules((package,))
        for node in ast.walk(ast.parse(source_of(ROOT / name)))
        if isinstance(node, ast.ClassDef) and node.bases
    ]
    roots = [node.name for node in classes if all(_is_builtin_exception(_last_name(base)) for base in node.bases)]
    assert len(roots) <= 1, roots


def test_every_package_is_looked_at() -> None:
    assert set(PACKAGES) == {path.parent.name for path in ROOT.glob("*/__init__.py")} - set(ASIDE)


def bites(body: str, *, name: str = "edge/x.py") -> list[str]:
    return list(faults_of(name, f'"""A module."""\n{body}\n'))


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ("x = 1\n" * 500, "the file has 502 lines"),
        ("def _f():\n" + "    x = 1\n" * 60, "_f has 61 lines"),
        ("try:\n    pass\nexcept:\n    pass", "broad except"),
        ("try:\n    pass\nexcept (OSError, Exception):\n    pass", "broad except"),
        ("asyncio.create_task(f())", "task group"),
        ("from asyncio import create_task\ncreate_task(f())", "task group"),
        ("asyncio.Queue()", "a queue without a bound"),
        ("create_memory_object_stream[int](math.inf)", "a stream without a bound"),
        ("def f():\n    return 1", "f has no docstring"),
        ('class A:\n    """A."""\n    def f(self):\n        return 1', "f has no docstring"),
        ('class Lost(Exception):\n    """Lost."""', "does not end in Error"),
        ('class Lost(LinkError):\n    """Lost."""', "does not end in Error"),
        ("_seen = {}", "_seen is state"),
        ("_seen: set[int] = set()", "_seen is state"),
        ("def _f():\n    global x\n    x = 1", "global statement"),
        ("time.sleep(1)", "holds up"),
        ("import paho.mqtt.client", "through aiomqtt"),
        ("from paho.mqtt import client", "through aiomqtt"),
        ("# TO" + "DO: later", "unfinished"),
        ("HOME = '/ro" + "ot/x'", "a path of one machine"),
    ],
)
def test_each_rule_bites(body: str, fault: str) -> None:
    (found,) = bites(body)
    assert fault in found


@pytest.mark.parametrize(
    "body",
    [
        "def _f():\n" + "    x = 1\n" * 59,
        "asyncio.Queue(8)",
        "create_memory_object_stream[int](8)",
        "LIMITS = {1: 2}",
        "names = ('a', 'b')",
        "_decoder = msgspec.json.Decoder(int)",
        'class LostError(Exception):\n    """Lost."""',
        "from paho.mqtt.properties import Properties",
        "PLACE = '/var/lib/home/x'",
    ],
)
def test_no_rule_bites_what_is_right(body: str) -> None:
    assert bites(body) == []
