"""Passwords: which are taken, how they are kept (argon2id), and how one is compared without telling who exists."""

import secrets
import unicodedata
from functools import cache

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from cloud.errors import PasswordRefusedError
from cloud.people.hidden import Hidden

MIN_CHARS = 10
MAX_CHARS = 1024
"""More would only be work for the machine."""

TIME_COST = 3
MEMORY_KIB = 32 * 1024
PARALLELISM = 1
"""One lane: a login must not take both cores of a machine that takes alarms. Above what OWASP asks for at least
(19 MiB, 2 passes, 1 lane; Password Storage Cheat Sheet). Changing them here is enough: a hash is made anew at its
user's next login."""

HASHER = PasswordHasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=PARALLELISM, type=Type.ID)

# The heads of every list of leaked passwords that are long enough to come this far; compared without case and marks.
WORST = frozenset(
    """
    1234567890 12345678910 123456789a 0123456789 9876543210 0987654321 1q2w3e4r5t 1qaz2wsx3edc qwertyuiop qwerty1234
    qwerty12345 asdfghjkl1 zxcvbnm123 password12 password123 password1234 passw0rd123 adminadmin admin12345 admin123456
    administrator iloveyou123 woaini1314 woaini520 a123456789 aa123456789 abc1234567 abcd123456 abc123456789 qq123456789
    letmein123 welcome123 changeme123 default123 langyan123 langyan1234 langyanadmin 1111111111 5201314520 1314520520
    """.split()
)


def check_password(password: str, *, name: str = "") -> None:
    """Refuse what is easily guessed.

    Args:
        password: the new one.
        name: of its user.

    Raises:
        PasswordRefusedError: shorter than `MIN_CHARS`, longer than `MAX_CHARS`, among the worst, little but the name,
            or one or two characters over and over.
    """
    plain = _plain(password)
    if plain is None:
        raise PasswordRefusedError("the password holds what is no character")
    if len(plain) < MIN_CHARS:
        raise PasswordRefusedError(f"the password has fewer than {MIN_CHARS} characters")
    if len(plain) > MAX_CHARS:
        raise PasswordRefusedError(f"the password has more than {MAX_CHARS} characters")
    bare = "".join(character for character in plain.casefold() if character.isalnum())
    rest = bare.replace(name.casefold(), "") if name else bare
    if bare in WORST or len(set(plain)) <= 2 or len(rest) < MIN_CHARS // 2:  # noqa: PLR2004
        raise PasswordRefusedError("the password is among the first that anybody would try")


def hash_password(password: str, *, name: str = "") -> Hidden[str]:
    """Check a new password and make of it what is kept; takes a tenth of a second or two, so never in a transaction.

    Raises:
        PasswordRefusedError: see `check_password`.
    """
    check_password(password, name=name)
    return Hidden(HASHER.hash(_plain(password) or ""))


def verify_password(kept: Hidden[str] | None, password: str) -> bool:
    """Tell whether the password is the one kept; as slow where there is none, so that time tells nobody who exists."""
    plain = _plain(password)
    # Made at the first login whoever it is of, so that it does not tell either.
    nobodys = _nobodys(HASHER)
    against = nobodys if kept is None else kept.value
    try:
        HASHER.verify(against, plain if plain is not None and len(plain) <= MAX_CHARS else "")
    except (VerificationError, InvalidHashError):
        return False
    return kept is not None


def rehashed(kept: Hidden[str], password: str) -> Hidden[str] | None:
    """Hash a password that was right anew, when the parameters have changed since; None when they have not."""
    if not HASHER.check_needs_rehash(kept.value):
        return None
    return Hidden(HASHER.hash(_plain(password) or ""))


def random_password() -> Hidden[str]:
    """Make one of 120 bits that can be read out and typed: six groups of four."""
    # Crockford's base 32: no I, L, O or U, so that nothing is mistaken for another.
    text = "".join(secrets.choice("0123456789abcdefghjkmnpqrstvwxyz") for _ in range(24))
    return Hidden("-".join(text[start : start + 4] for start in range(0, 24, 4)))


def _plain(password: str) -> str | None:
    """Write it as every keyboard would (Unicode NFC); None for what cannot be written in UTF-8."""
    try:
        password.encode()
    except UnicodeEncodeError:
        return None
    # Normalising takes time with the length, and nobody's password is longer.
    return unicodedata.normalize("NFC", password) if len(password) <= 4 * MAX_CHARS else password


@cache
def _nobodys(hasher: PasswordHasher) -> str:
    return hasher.hash(secrets.token_urlsafe(32))
