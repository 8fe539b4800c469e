"""Messages for people in their language: English in the code, other languages in catalogues (gettext).

The catalogue of the cloud is read too, so that the hints of its errors are in it only once.
"""

import gettext
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path

DOMAIN = "langyan"
FOLDER = Path(__file__).parent / "locale"
# Found by its place: a command line that only asks for help loads nothing of the cloud.
_CLOUD_FOLDER = Path(__file__).parent.parent / "cloud" / "locale"
ENGLISH = "en"
CHINESE = "zh_CN"

# POSIX order of the variables that name the language of messages; ours comes first, so that
# one can ask for another language than the terminal's.
_VARIABLES = ("LANGYAN_LANG", "LC_ALL", "LC_MESSAGES", "LANG")


def choose_language(environ: Mapping[str, str]) -> str:
    """Tell the language that `environ` asks for: `CHINESE` for any zh, else `ENGLISH`."""
    wanted = next((environ[name] for name in _VARIABLES if environ.get(name)), "")
    return CHINESE if wanted.lower().startswith("zh") else ENGLISH


def language() -> str:
    """Tell the language of this process's environment."""
    return choose_language(os.environ)


def translate(message: str) -> str:
    """Write `message` in the language of this process's environment; English where there is no translation."""
    # The empty message is the key under which gettext keeps a catalogue's header.
    return _catalogue(language()).gettext(message) if message else ""


def translate_to(language: str, message: str) -> str:
    """Write `message` in `CHINESE` or `ENGLISH`; English where there is no translation."""
    return _catalogue(language).gettext(message) if message else ""


_ = translate


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    found = gettext.translation(DOMAIN, FOLDER, languages=[language], fallback=True)
    found.add_fallback(gettext.translation("cloud", _CLOUD_FOLDER, languages=[language], fallback=True))
    return found
