"""Encryption of DC-09: AES in CBC with a vector of zeros, written in hexadecimal. Pure.

The library is read only when a device has a key (extra `dc09`; docs/decisions/0018).

Source: ANSI/SIA DC-09-2013, 5.4.
"""

import re
import secrets
from collections.abc import Callable
from importlib import import_module
from typing import Any

from device_profiles.faults import DeviceProfilesError

KEY_BYTES = (16, 24, 32)
"""AES-128, AES-192, AES-256."""

_LIBRARY = "cryptography.hazmat.primitives.ciphers"
_BLOCK = 16
_VECTOR = bytes(_BLOCK)
# All printable characters a pad may have: neither brackets nor the bar, which end it.
_PAD = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+,-./:;<=>?@^_{}~"


class KeyFaultError(DeviceProfilesError):
    """A device's key cannot be used; the text says why and never what it is."""

    hint = "16, 24 or 32 characters as the host has them, or hex: and 32, 48 or 64 hexadecimal digits."


def read_key(secret: bytes) -> bytes:
    """Give the key that a secret stands for.

    Args:
        secret: 16, 24 or 32 characters that are the key itself, or "hex:" and its hexadecimal digits. Thirty-two
            digits are a key of AES-256 to some makers and of AES-128 to others (Ajax), so the form is said.

    Raises:
        KeyFaultError: it is neither.
    """
    key = secret.strip()
    if key.lower().startswith(b"hex:"):
        digits = key[4:].strip()
        if not re.fullmatch(rb"(?:[0-9A-Fa-f]{2})+", digits):
            raise KeyFaultError("the key after hex: is no hexadecimal number of whole bytes")
        key = bytes.fromhex(digits.decode())
    if len(key) not in KEY_BYTES:
        raise KeyFaultError(f"the key has {len(key)} bytes; a key of DC-09 has 16, 24 or 32")
    return key


def random_pad(count: int) -> bytes:
    """Give so many random characters that a pad may have."""
    return bytes(secrets.choice(_PAD) for _ in range(count))


class Cipher:
    """Encrypts and decrypts with one key."""

    def __init__(self, secret: bytes, *, pad: Callable[[int], bytes] = random_pad) -> None:
        """Take the key.

        Args:
            secret: as `read_key` wants it.
            pad: gives so many characters to fill up with.

        Raises:
            KeyFaultError: it is no key, or the library for encryption is not installed.
        """
        self._key, self._pad = read_key(secret), pad
        try:
            ciphers: Any = import_module(_LIBRARY)
            aes = import_module(f"{_LIBRARY}.algorithms").AES
            mode = import_module(f"{_LIBRARY}.modes").CBC
        except ModuleNotFoundError as error:
            raise KeyFaultError("the library for keys is missing: pip install 'langyan[dc09]'") from error
        self._cipher = ciphers.Cipher(aes(self._key), mode(_VECTOR))

    def decrypt(self, digits: bytes) -> bytes | None:
        """Give what hexadecimal digits mean; None when they are no whole blocks. A wrong key gives nonsense."""
        if not digits or len(digits) % (2 * _BLOCK) or not re.fullmatch(rb"[0-9A-Fa-f]+", digits):
            return None
        decryptor = self._cipher.decryptor()
        text: bytes = decryptor.update(bytes.fromhex(digits.decode())) + decryptor.finalize()
        return text

    def encrypt(self, text: bytes) -> bytes:
        """Put a pad and a bar before a text and give the hexadecimal digits of it all.

        The pad has a block and what fills the last one up: the vector is always the same, so equal first blocks
        would show.
        """
        pad = self._pad(_BLOCK + -(len(text) + 1) % _BLOCK)
        encryptor = self._cipher.encryptor()
        sealed: bytes = encryptor.update(pad + b"|" + text) + encryptor.finalize()
        return sealed.hex().upper().encode()
