"""Files that only the holder of the key can read, and that nobody else can change unnoticed.

    magic [10] | salt [32] | check [16] | chunk 0 | chunk 1 | ...

AES-256-GCM in chunks of 64 KiB, so that a file of any size is written and read in little memory
and from any place on. Every file has a key of its own, derived from the secret and the salt; the
nonce of a chunk is its number, and whether it is the last, so that chunks cannot be changed,
swapped, dropped or taken from another file.

Source: Hoang, Reyhanitabar, Rogaway & Vizar (2015), "Online authenticated-encryption and its
nonce-reuse misuse-resistance" (STREAM); NIST SP 800-38D for GCM.
"""

from __future__ import annotations

import contextlib
import hmac
import io
import os
import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from .privacy import derive

CHUNK = 1 << 16  # bytes of text in a chunk
_MAGIC, _SALT, _CHECK, _TAG = b"driftrec\x00\x01", 32, 16, 16
_HEADER = len(_MAGIC) + _SALT + _CHECK


@contextlib.contextmanager
def seal(path: str | Path, key: bytes, purpose: str) -> Iterator[io.BufferedIOBase]:
    """A stream whose bytes are encrypted into ``path``, which appears whole or stays as it was.

    Args:
        path: of the file.
        key: 32 bytes, of ``read_key``.
        purpose: what the file is; it is read for the same purpose only.

    Raises:
        ValueError: where ``cryptography`` is not installed.
    """
    _aead(derive(key, purpose))  # refuses before there is a file
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    try:
        with temporary.open("wb") as file:
            stream = _Writer(file, key, purpose)
            yield stream
            stream.finish()
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def unseal(path: str | Path, key: bytes, purpose: str) -> io.BufferedReader:
    """What was sealed, as a stream that can be read from any place on; close it.

    Args:
        path: of the file.
        key: 32 bytes, with which it was sealed.
        purpose: for which it was sealed.

    Raises:
        ValueError: where it is no such file, the key is another, or ``cryptography`` is not
            installed; on opening where the end was cut off, and on reading where a chunk was
            changed.
    """
    path = Path(path)
    try:
        file = path.open("rb")
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from None
    try:
        return io.BufferedReader(_Reader(file, path, key, purpose), CHUNK)
    except BaseException:
        file.close()
        raise


def is_sealed(path: str | Path) -> bool:
    """Whether a file is one that ``seal`` wrote, going by its beginning."""
    with Path(path).open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


def _aead(key: bytes) -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM
    except ImportError:
        raise ValueError(
            "encrypted files need the library cryptography: pip install 'driftrec[privacy]'"
        ) from None
    return AESGCM(key)


def _file_key(key: bytes, purpose: str, salt: bytes) -> tuple[bytes, bytes]:
    """The key of one file, and what tells that a key is the right one."""
    own = hmac.digest(derive(key, purpose), b"file" + salt, "sha256")
    return own, hmac.digest(own, b"check", "sha256")[:_CHECK]


def _nonce(number: int, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


class _Writer(io.BufferedIOBase):
    """Encrypts chunk by chunk; the last one is held back until it is known to be the last."""

    def __init__(self, file: BinaryIO, key: bytes, purpose: str) -> None:
        salt = secrets.token_bytes(_SALT)
        own, check = _file_key(key, purpose, salt)
        self._file, self._aead, self._rest, self._number = file, _aead(own), bytearray(), 0
        file.write(_MAGIC + salt + check)

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._rest += data
        while len(self._rest) > CHUNK:
            self._put(bytes(self._rest[:CHUNK]), False)
            del self._rest[:CHUNK]
        return len(data)

    def finish(self) -> None:
        self._put(bytes(self._rest), True)

    def _put(self, text: bytes, last: bool) -> None:
        self._file.write(self._aead.encrypt(_nonce(self._number, last), text, None))
        self._number += 1


class _Reader(io.RawIOBase):
    """Decrypts the chunk that is asked for."""

    def __init__(self, file: BinaryIO, path: Path, key: bytes, purpose: str) -> None:
        header = file.read(_HEADER)
        if len(header) < _HEADER or not header.startswith(_MAGIC):
            raise ValueError(f"{path} must be a file that driftrec encrypted, got another kind")
        salt, check = header[len(_MAGIC) : -_CHECK], header[-_CHECK:]
        own, expected = _file_key(key, purpose, salt)
        self._file, self._path, self._aead = file, path, _aead(own)
        if not hmac.compare_digest(check, expected):
            raise ValueError(f"{path} was encrypted with another key, or is no file of {purpose}")
        body = file.seek(0, io.SEEK_END) - _HEADER
        self._last = max(0, body - 1) // (CHUNK + _TAG)
        self._size = body - _TAG * (self._last + 1)
        self._place, self._held = 0, (-1, b"")
        self._chunk(self._last)  # a file that was cut has no last chunk

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: Any) -> int:
        if self._place >= self._size:
            return 0
        number, begin = divmod(self._place, CHUNK)
        part = self._chunk(number)[begin : begin + len(buffer)]
        buffer[: len(part)] = part
        self._place += len(part)
        return len(part)

    def close(self) -> None:
        self._file.close()
        super().close()

    def _chunk(self, number: int) -> bytes:
        from cryptography.exceptions import InvalidTag

        if self._held[0] != number:
            self._file.seek(_HEADER + number * (CHUNK + _TAG))
            data = self._file.read(CHUNK + _TAG)
            try:
                text = self._aead.decrypt(_nonce(number, number == self._last), data, None)
            except (InvalidTag, ValueError):  # ValueError where it is shorter than a tag
                raise ValueError(
                    f"{self._path} is damaged or was changed after it was written"
                ) from None
            self._held = number, text
        return self._held[1]
