"""The secret key, and names that only its holder can tell the owners of.

One key serves all: what encrypts and what names people are derived from it, each for itself.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
from pathlib import Path

KEY, KEY_FILE = "DRIFTREC_KEY", "DRIFTREC_KEY_FILE"  # environment variables
BYTES = 32  # of a key
_HOW = f"set {KEY} or {KEY_FILE}, or name a key file; `driftrec key FILE` makes one"


def make_key() -> str:
    """A new key from the operating system's randomness, as 44 characters of URL-safe base64."""
    return base64.urlsafe_b64encode(secrets.token_bytes(BYTES)).decode()


def parse_key(text: str, origin: str) -> bytes:
    """The 32 bytes of a key.

    Args:
        text: as ``make_key`` writes it.
        origin: where it came from, for the error; the text itself is never shown.

    Raises:
        ValueError: where it is no key.
    """
    try:
        key = base64.b64decode(text.strip().encode(), altchars=b"-_", validate=True)
    except (binascii.Error, UnicodeEncodeError):
        key = b""
    if len(key) != BYTES:
        raise ValueError(
            f"key must be {BYTES} bytes in URL-safe base64 as `driftrec key` makes them, "
            f"{origin} holds something else"
        )
    return key


def read_key(file: str | Path | None = None, outside: str | Path | None = None) -> bytes:
    """The key: of a file, else of DRIFTREC_KEY, else of the file that DRIFTREC_KEY_FILE names.

    Args:
        file: a key file.
        outside: folder of what the key protects; a key file must not lie in it, or below.

    Raises:
        ValueError: where there is no key, it is none, or it lies beside what it protects.
    """
    if file is None:
        if os.environ.get(KEY):
            return parse_key(os.environ[KEY], KEY)
        file = os.environ.get(KEY_FILE)
    if not file:
        raise ValueError(f"key must be given, got none: {_HOW}")
    path = Path(file).expanduser()
    if outside is not None:
        folder = Path(outside).expanduser()
        # Both the link and what it points to: a copy of the folder would hold the one or the other.
        places = (path.resolve(), path.parent.resolve() / path.name)
        if any(place.is_relative_to(folder.resolve()) for place in places):
            raise ValueError(f"key file must lie outside of {folder}, got {path}")
    try:
        return parse_key(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"key file cannot be read ({error}): {_HOW}") from None


def write_key(file: str | Path) -> None:
    """Writes a new key to a new file that only its owner may read.

    Raises:
        ValueError: where the file exists: a key that is overwritten is lost with all it protects.
    """
    path = Path(file).expanduser()
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise ValueError(f"key file must be new, {path} exists") from None
    with os.fdopen(number, "w", encoding="utf-8") as stream:
        stream.write(make_key() + "\n")


class Pseudonyms:
    """Names of users that stay the same under one key and have none in common under another.

    HMAC-SHA256 of the id (RFC 2104), of which 128 bits are kept: two of a billion users share a
    name with probability 2e-21. Whoever lacks the key cannot try out ids, as with a bare hash.

    Args:
        key: 32 bytes, of ``read_key``.

    Example:
        >>> names = Pseudonyms(bytes(32))
        >>> names("anna") == names("anna") != names("ben")
        True
        >>> names("anna") == Pseudonyms(bytes(31) + b"1")("anna")
        False
    """

    def __init__(self, key: bytes) -> None:
        self._key = derive(key, "pseudonyms")

    def __call__(self, user: str) -> str:
        """32 hexadecimal digits for the id of a user."""
        data = user.encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, data, "sha256")[:16].hex()


def derive(key: bytes, purpose: str) -> bytes:
    """A key of 32 bytes for one purpose: whoever learns it learns neither ``key`` nor others.

    Raises:
        ValueError: where ``key`` has not 32 bytes.
    """
    if len(key) != BYTES:
        raise ValueError(f"key must have {BYTES} bytes, got {len(key)}")
    return hmac.digest(key, b"driftrec " + purpose.encode(), hashlib.sha256)
