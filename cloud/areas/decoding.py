"""From a file's bytes to its text: the encodings that spreadsheets write. Pure."""

from cloud.areas.faults import Faults, Where
from cloud.i18n import N_

MAX_FILE_BYTES = 64 * 1024 * 1024


def decoded(data: bytes, file: str, faults: Faults) -> str | None:
    """Decode UTF-8 with or without its mark, else GB 18030, which holds GBK, as spreadsheets in China write it.

    Returns:
        The text, or None where it is neither, which has been noted. UTF-8 with a few broken bytes is not taken for
        GBK, which would read nonsense out of it.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        lossy = data.decode("utf-8", "replace")
        broken = lossy.count("\ufffd")
        whole = sum(not char.isascii() for char in lossy) - broken
        first_bad = error.start
    if broken >= whole:
        try:
            return data.decode("gb18030")
        except UnicodeDecodeError as error:
            first_bad = error.start
    where = Where(file, data.count(b"\n", 0, first_bad) + 1)
    faults.lose(where, N_("neither UTF-8 nor GBK: save the file as CSV UTF-8"))
    return None
