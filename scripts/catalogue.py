"""The catalogues of langyan/locale and cloud/locale: taken from the code, compiled, checked. Run it as scripts/locale.

The cloud speaks for itself, to contacts and in the browser, so its messages are a catalogue of their own; the command
line reads both.

update   put every message of the code into the .po files, and throw out those that are gone
compile  write the .mo files that the program reads
check    fail when a message is not translated, or a .po or .mo file is not what update and compile would write
"""

import argparse
import ast
import io
import string
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po

LANGUAGES = ("zh_CN",)
# By the package that has the catalogue: whose messages are in it.
PACKAGES = {
    "langyan": ("langyan", "edge", "simulators", "firmware_tools", "device_profiles", "contract"),
    "cloud": ("cloud",),
}
KEYWORDS = {"_": None, "N_": None, "translate": None, "translate_to": (2,)}

# Written by hand: Babel's header carries dates, and two people could then never change a catalogue at once.
_HEADER = """\
msgid ""
msgstr ""
"Language: {language}\\n"
"MIME-Version: 1.0\\n"
"Content-Type: text/plain; charset=UTF-8\\n"
"Content-Transfer-Encoding: 8bit\\n"

"""
# A compiled catalogue has a date in its header; any fixed one gives equal bytes for equal messages.
_NO_DATE = datetime(2026, 1, 1, tzinfo=UTC)


class Book:
    """The two files of one language of one package under one root."""

    def __init__(self, root: Path, package: str, language: str) -> None:
        folder = root / package / "locale" / language / "LC_MESSAGES"
        self.package, self.language = package, language
        self.po, self.mo = folder / f"{package}.po", folder / f"{package}.mo"

    def read(self) -> Catalog:
        """Read the .po file; an empty catalogue where there is none yet."""
        if not self.po.exists():
            return Catalog(locale=self.language)
        with self.po.open("rb") as file:
            return read_po(file, locale=self.language)

    def updated(self, template: Catalog) -> bytes:
        """Write the .po file that has exactly the messages of `template`, keeping what is translated."""
        catalogue = self.read()
        catalogue.update(template, no_fuzzy_matching=True)
        text = io.BytesIO()
        write_po(text, catalogue, width=0, no_location=True, omit_header=True, sort_output=True, ignore_obsolete=True)
        return _HEADER.format(language=self.language).encode() + text.getvalue().lstrip(b"\n")

    def compiled(self) -> bytes:
        """Write the .mo file of the .po file."""
        catalogue = self.read()
        catalogue.creation_date = catalogue.revision_date = _NO_DATE
        compiled = io.BytesIO()
        write_mo(compiled, catalogue)
        return compiled.getvalue()


def extract(root: Path, packages: Sequence[str]) -> Catalog:
    """Collect the messages of some packages under `root`."""
    template = Catalog()
    for package in packages:
        found = extract_from_dir(root / package, keywords=KEYWORDS, comment_tags=["Translators:"])
        for _file, _line, message, comments, _context in found:
            template.add(message, auto_comments=comments)
        for source in sorted((root / package).rglob("*.py")):
            for hint in _hints(source.read_text("utf-8")):
                template.add(hint)
    return template


def _hints(source: str) -> Iterator[str]:
    """Find the `hint` of errors: packages without gettext write it, the command line translates it."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Assign(targets=[ast.Name(id="hint")], value=ast.Constant(value=str(text))) if text:
                yield text
            case ast.keyword(arg="hint", value=ast.Constant(value=str(text))) if text:
                yield text


def faults(book: Book, template: Catalog) -> Iterator[str]:
    """Say everything that is wrong with one language, a sentence each."""
    for message in book.read():
        if message.id:
            yield from _message_faults(message)
    if not book.po.exists() or book.po.read_bytes() != book.updated(template):
        yield f"{book.po} is not what the code asks for: run scripts/locale update, and translate what is new"
    if not book.mo.exists() or _pairs(book.mo) != _pairs_of(book.read()):
        yield f"{book.mo} is stale: run scripts/locale compile"


def _message_faults(message: Message) -> Iterator[str]:
    original, translated = str(message.id), str(message.string)
    if not translated or message.fuzzy:
        yield f"not translated: {original!r}"
    elif _fields(original) != _fields(translated):
        yield f"other {{fields}} than in English: {original!r} -> {translated!r}"


def _fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name is not None}


def _pairs(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        return _pairs_of(read_mo(file))


def _pairs_of(catalogue: Catalog) -> dict[str, str]:
    return {str(message.id): str(message.string) for message in catalogue if message.id and message.string}


def main() -> int:
    """Do what the command line asks; the number of faults found is the exit status, at most 1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("update", "compile", "check"))
    parser.add_argument("--root", type=Path, default=Path(__file__).parent.parent, help="folder of the packages")
    arguments = parser.parse_args()
    templates = {package: extract(arguments.root, packages) for package, packages in PACKAGES.items()}
    found: list[str] = []
    for book in (Book(arguments.root, package, language) for package in PACKAGES for language in LANGUAGES):
        template = templates[book.package]
        book.po.parent.mkdir(parents=True, exist_ok=True)
        if arguments.action == "update":
            book.po.write_bytes(book.updated(template))
        elif arguments.action == "compile":
            book.mo.write_bytes(book.compiled())
        else:
            found += faults(book, template)
    print("\n".join(found), end="\n" if found else "", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
