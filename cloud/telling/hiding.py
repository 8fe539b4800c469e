"""What a library or a receiver says, without the secrets of the URL it is about. Pure."""

import re
from urllib.parse import parse_qsl, unquote, urlsplit

# Shorter parts of a URL are words like "to" or "25", and would black out what an error says.
_MIN_SECRET_CHARS = 4
_URL = re.compile(r"\b[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)


def hide(words: str, secrets: list[str]) -> str:
    """Black out URLs, and every part of them, in what a library says."""
    hidden = _URL.sub("***", words)
    for part in sorted({part for url in secrets for part in _parts(url)}, key=len, reverse=True):
        hidden = hidden.replace(part, "***")
    return hidden


def _parts(url: str) -> set[str]:
    # A URL that cannot be taken apart is hidden whole.
    try:
        split = urlsplit(url)
    except ValueError:
        return {url}
    user, _, host = split.netloc.rpartition("@")
    parts = {url, user, *user.split(":"), *split.path.split("/"), *(value for _, value in parse_qsl(split.query))}
    # Robots have their key where others have the host.
    parts |= {host}
    return {form for part in parts for form in (part, unquote(part)) if len(form) >= _MIN_SECRET_CHARS}
