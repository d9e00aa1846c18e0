"""Values to what both databases take, and back: JSON text, clean text, numbers.

Encoding happens when a write is accepted, so the caller may change its objects afterwards and a value
that cannot be stored is refused where it came from. PostgreSQL takes neither NUL nor half a surrogate
pair, and a transcript may contain anything: both become U+FFFD.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import Any, Final

import msgspec

__all__ = ["Encoded", "clean_text", "decode", "encode", "serialize"]

_REPLACEMENT: Final = "�"


class Encoded(str):
    """JSON text, already encoded."""

    __slots__ = ()


def encode(value: object) -> Encoded:
    """JSON text of plain data, dataclasses and enums. NaN and infinities become null.

    Raises `TypeError` or `ValueError` for what is not data.
    """
    try:
        text = _ENCODER.encode(value).decode()
    except UnicodeEncodeError:
        text = _ENCODER.encode(_clean(value)).decode()
    if "\\u0000" in text:  # may also be an escaped backslash before "u0000": cleaning is harmless then
        text = _ENCODER.encode(_clean(msgspec.json.decode(text))).decode()
    return Encoded(text)


def decode(text: str | bytes) -> Any:
    """The data of a JSON text of ours."""
    return msgspec.json.decode(str(text) if isinstance(text, Encoded) else text)


def serialize(value: object) -> str:
    """For the database driver: what `encode` made passes as it is."""
    return str(value if isinstance(value, Encoded) else encode(value))


def clean_text(text: str) -> str:
    """`text` as every database takes it."""
    if text.isascii():
        return text.replace("\0", _REPLACEMENT)
    return text.replace("\0", _REPLACEMENT).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, Mapping):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


def _plain(value: Any) -> Any:
    """Views, proxies and subclasses, which msgspec does not know."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence | Set) and not isinstance(value, str | bytes | bytearray | memoryview):
        return list(value)
    raise TypeError(f"{type(value).__name__} is not data")


_ENCODER: Final = msgspec.json.Encoder(enc_hook=_plain)
