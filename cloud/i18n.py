"""What the cloud says to people, in the language of each: English in the code, other languages in catalogues (gettext).

One process tells many people, so the language is an argument; nothing here reads the environment.
"""

import gettext
from functools import cache
from pathlib import Path

DOMAIN = "cloud"
FOLDER = Path(__file__).parent / "locale"
ENGLISH = "en"
CHINESE = "zh_CN"


def translate_to(language: str, text: str) -> str:
    """Write `text` in `language`; English where there is no translation.

    Args:
        language: a tag of any form; whatever begins with "zh" is Chinese, all else English.
        text: as it stands in the code, marked by this function or by `N_`.
    """
    # The empty message is the key under which gettext keeps a catalogue's header.
    return catalogue(catalogue_language(language)).gettext(text) if text else ""


def N_(text: str) -> str:  # noqa: N802 - the name by which gettext's tools know it
    """Mark a message where it stands in a table; `translate_to` writes it later."""
    return text


def catalogue_language(tag: str) -> str:
    """Tell which language of the catalogues a tag means: `CHINESE` or `ENGLISH`."""
    return CHINESE if tag.lower().startswith("zh") else ENGLISH


@cache
def catalogue(language: str) -> gettext.NullTranslations:
    """Open a language's catalogue once; an empty one where there is none."""
    return gettext.translation(DOMAIN, FOLDER, languages=[language], fallback=True)
