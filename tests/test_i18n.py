"""Messages in the reader's language, and the catalogues they come from."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cloud import i18n as cloud_i18n
from cloud.errors import DatabaseRefusedError
from langyan import i18n

ROOT = Path(__file__).parent.parent
SCRIPT = ROOT / "scripts" / "catalogue.py"
PO = Path("langyan/locale/zh_CN/LC_MESSAGES/langyan.po")


@pytest.mark.parametrize(
    ("environ", "language"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh_CN"),
        ({"LANG": "zh_TW.UTF-8"}, "zh_CN"),
        ({"LANG": "ZH"}, "zh_CN"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, "en"),
        ({"LANG": "en_US.UTF-8", "LC_MESSAGES": "zh_CN.UTF-8"}, "zh_CN"),
        ({"LC_MESSAGES": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LC_ALL": "", "LANG": "zh_CN.UTF-8"}, "zh_CN"),
        ({"LC_ALL": "C", "LANGYAN_LANG": "zh"}, "zh_CN"),
        ({"LANG": "zh_CN.UTF-8", "LANGYAN_LANG": "en"}, "en"),
    ],
)
def test_the_language_follows_the_environment(environ: dict[str, str], language: str) -> None:
    assert i18n.choose_language(environ) == language


@pytest.mark.parametrize("language", ["en", "zh"])
def test_a_message_nobody_translated_stays_english(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANGYAN_LANG", language)
    assert i18n.translate("No catalogue has this sentence.") == "No catalogue has this sentence."
    assert i18n.translate("") == ""


@pytest.mark.parametrize(
    ("tag", "language"),
    [("zh", "zh_CN"), ("zh-CN", "zh_CN"), ("zh_TW", "zh_CN"), ("ZH", "zh_CN"), ("en", "en"), ("de", "en"), ("", "en")],
)
def test_the_cloud_takes_any_tag_for_a_language(tag: str, language: str) -> None:
    assert cloud_i18n.catalogue_language(tag) == language


def test_the_cloud_and_the_command_line_say_the_same_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    hint = DatabaseRefusedError.hint
    chinese = cloud_i18n.translate_to("zh", hint)
    assert chinese != hint
    assert cloud_i18n.translate_to("en", hint) == hint
    assert cloud_i18n.translate_to("zh", "") == ""
    monkeypatch.setenv("LANGYAN_LANG", "zh")
    assert i18n.translate(hint) == chinese


class Tree:
    """A copy of nothing but one module, with the script that looks after its catalogue."""

    def __init__(self, root: Path) -> None:
        self.root, self.po = root, root / PO
        self.mo = self.po.with_suffix(".mo")
        (root / "langyan").mkdir()

    def code(self, text: str) -> None:
        (self.root / "langyan" / "x.py").write_text(text)

    def translate(self, english: str, chinese: str) -> None:
        untranslated = f'msgid "{english}"\nmsgstr ""'
        text = self.po.read_text()
        assert untranslated in text
        self.po.write_text(text.replace(untranslated, f'msgid "{english}"\nmsgstr "{chinese}"'))

    def run(self, action: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, SCRIPT, action, "--root", self.root],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def fails_with(self, sentence: str) -> bool:
        checked = self.run("check")
        return checked.returncode == 1 and sentence in checked.stderr


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    tree = Tree(tmp_path)
    tree.code(
        'print(_("Stored {count} readings."), translate("Nothing is lost."), N_("marked"), text.translate(TABLE))\n'
    )
    assert tree.run("update").returncode == 0
    tree.translate("Stored {count} readings.", "已存储 {count} 条读数。")
    tree.translate("Nothing is lost.", "无一丢失。")
    tree.translate("marked", "已标记")
    assert tree.run("compile").returncode == 0
    return tree


def test_from_code_to_catalogue_to_reader(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tree.run("check").returncode == 0
    monkeypatch.setattr(i18n, "FOLDER", tree.root / "langyan" / "locale")
    monkeypatch.setenv("LANGYAN_LANG", "zh_CN")
    i18n._catalogue.cache_clear()
    try:
        assert i18n.translate("Nothing is lost.") == "无一丢失。"
        assert i18n.translate("Stored {count} readings.").format(count=7) == "已存储 7 条读数。"
        monkeypatch.setenv("LANGYAN_LANG", "en")
        assert i18n.translate("Nothing is lost.") == "Nothing is lost."
    finally:
        i18n._catalogue.cache_clear()


def test_updating_and_compiling_again_changes_no_byte(tree: Tree) -> None:
    before = tree.po.read_bytes(), tree.mo.read_bytes()
    assert tree.run("update").returncode == tree.run("compile").returncode == 0
    assert (tree.po.read_bytes(), tree.mo.read_bytes()) == before


def test_a_catalogue_carries_no_date_and_no_place(tree: Tree) -> None:
    text = tree.po.read_text()
    assert "Date" not in text
    assert "x.py" not in text


def test_moving_the_code_changes_no_byte(tree: Tree) -> None:
    before = tree.po.read_bytes()
    tree.code("\n\n" + (tree.root / "langyan" / "x.py").read_text())
    assert tree.run("update").returncode == 0
    assert tree.po.read_bytes() == before


def test_a_new_message_fails_the_check(tree: Tree) -> None:
    tree.code((tree.root / "langyan" / "x.py").read_text() + '_("New.")\n')
    assert tree.fails_with("run scripts/locale update")
    tree.run("update")
    assert tree.fails_with("not translated: 'New.'")


def test_a_message_that_is_gone_fails_the_check_until_updated(tree: Tree) -> None:
    tree.code('print(_("Stored {count} readings."), translate("Nothing is lost."))\n')
    assert tree.fails_with("run scripts/locale update")
    tree.run("update")
    assert "marked" not in tree.po.read_text()


def test_a_stale_or_missing_compiled_catalogue_fails_the_check(tree: Tree) -> None:
    tree.po.write_text(tree.po.read_text().replace("已标记", "有标记"))
    assert tree.fails_with("stale: run scripts/locale compile")
    tree.mo.unlink()
    assert tree.fails_with("stale: run scripts/locale compile")


def test_a_translation_that_loses_a_field_fails_the_check(tree: Tree) -> None:
    tree.po.write_text(tree.po.read_text().replace("{count} 条", "几条"))
    assert tree.fails_with("other {fields} than in English")


def test_the_cloud_has_a_catalogue_of_its_own(tree: Tree) -> None:
    (tree.root / "cloud" / "x.py").write_text(
        'say(translate_to(language, "For a contact."), N_("In a table."))\nclass E:\n    hint = "Wait."\n'
    )
    assert tree.fails_with("cloud.po is not what the code asks for")
    before = tree.po.read_bytes()
    tree.run("update")
    for message in ("For a contact.", "In a table.", "Wait."):
        assert tree.fails_with(f"not translated: {message!r}")
    assert tree.po.read_bytes() == before


def test_a_tree_without_catalogues_fails_the_check(tree: Tree) -> None:
    shutil.rmtree(tree.root / "langyan" / "locale")
    assert tree.run("check").returncode == 1
