"""What must not be read in a log: secrets, tickets, telephone numbers. Pure functions over text and data.

Three nets, because each has holes: known values (whatever text they are in), telling names (`token=`,
`"password": ...`, keys of a mapping), and known shapes (vendor keys, bearer headers, our stream's path).
A telephone number keeps its first digit and its last four, see `mask_number`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from typing import Any, Final
from urllib.parse import quote, quote_plus

__all__ = ["REDACTED", "Redactor", "mask_number", "redact"]

REDACTED: Final = "[redacted]"
SHORTEST_SECRET: Final = 6
"""Known values under this length are left alone: masking every "1234" would spoil the log, hide nothing."""
_DEEPEST: Final = 12
_HIDDEN: Final = "*"

_SECRET_WORDS: Final = (
    "token", "secret", "authorization", "apikey", "password", "passwd", "passphrase", "signature",
    "ticket", "cookie", "credential", "signedurl", "privatekey", "accesskey",
)  # fmt: skip
_NUMBER_KEYS: Final = frozenset(
    {
        "to", "from", "number", "ournumber", "tonumber", "fromnumber", "caller", "called", "callernumber",
        "callednumber", "phone", "phonenumber", "party", "forwardedfrom", "externalnumber", "agentnumber",
        "systemcallerid", "systemcallednumber",
    }
)  # fmt: skip
# Starts at a word's beginning and is bounded: a log line may hold a hundred kilobytes of base64.
_TELLING: Final = (
    r"(?<![\w-])[\w-]{0,40}?(?:token(?!s|_?count|ize)|secret|authorization|api[_-]?key|passw(?:or)?d|passphrase"
    r"|signature|ticket|cookie|credential|signed[_-]?url|private[_-]?key|access[_-]?key)[\w-]{0,40}"
)
_NOTHING: Final = r"(?!(?:None|True|False|null)(?![\w.+/=-])|\[redacted\])"
_QUOTED: Final = r"""\\"[^"\\]*\\"|b?"(?:[^"\\]|\\.)*"|b?'(?:[^'\\]|\\.)*'"""
_BARE: Final = r"""[^\s&;,)\]}"'<>\\]"""
# name=value, as in queries, forms and reprs.
_ASSIGNED: Final = re.compile(
    rf"(?P<name>{_TELLING}[\"']?\s?=\s?){_NOTHING}(?P<value>{_QUOTED}|{_BARE}+)", re.IGNORECASE
)
# name: value, as in headers and JSON. Bare prose ("signature: wrong") stays, so the value must be quoted or long.
_STATED: Final = re.compile(
    rf"(?P<name>{_TELLING}\\?[\"']?\s?:\s?){_NOTHING}(?P<value>{_QUOTED}|{_BARE}{{12,}})", re.IGNORECASE
)
_SCHEME: Final = re.compile(r"\b(?P<name>(?i:basic|bearer)\s+)(?P<value>(?=\S*[A-Z0-9=])[A-Za-z0-9+/=._~-]{8,})")
_TICKET: Final = re.compile(
    r"(?P<name>outbound-media-stream(?:/|%2F))(?!\[redacted\])(?P<value>[^\s/?#&%\"'<>\\,;)\]}]+)", re.IGNORECASE
)
_USERINFO: Final = re.compile(r"(?P<name>://[^\s/:@\"'<>]*:)(?P<value>[^\s/@\"'<>]+)(?=@)")
# ElevenLabs keys begin with sk_ (an underscore, unlike others'), Twilio accounts and API keys with AC and SK.
_SHAPES: Final = re.compile(
    r"(?<![A-Za-z0-9])(?:sk[_-][A-Za-z0-9_-]{16,}|xi-[A-Za-z0-9]{16,}|(?:AC|SK)[0-9a-f]{32}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*)"
)
_NUMBER: Final = re.compile(r"(?<![\w+])(?P<plus>\+|%2[Bb])(?P<digits>[1-9]\d{6,14})(?!\d)")
_SPACED_NUMBER: Final = re.compile(r"(?<![\w+])\+[1-9](?:[ .()-]{0,2}\d){7,14}(?!\d)")
_DIGITS_ONLY: Final = re.compile(r"(?:\+|00)?[1-9]\d{6,14}")


def mask_number(number: str) -> str:
    """A number for people who must recognise it, not dial it: ``+14155550123`` becomes ``+1******0123``.

    The first digit and the last four stay, one star for each hidden digit; a number of fewer than nine
    digits keeps its last two only. Anything that is not a number comes back masked like one.
    """
    plus, digits = ("+", number[1:]) if number.startswith("+") else ("", number)
    if len(digits) >= 9:
        return f"{plus}{digits[0]}{_HIDDEN * (len(digits) - 5)}{digits[-4:]}"
    if len(digits) > 3:
        return f"{plus}{_HIDDEN * (len(digits) - 2)}{digits[-2:]}"
    return plus + _HIDDEN * len(digits)


class Redactor:
    """Masks in text and in any structure. Immutable; safe in any thread."""

    __slots__ = ("_secrets",)

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        """`secrets`: values that must never be seen, as loaded; their URL-encoded forms are known too."""
        known = {form for secret in secrets for form in _forms(secret.strip()) if len(form) >= SHORTEST_SECRET}
        # The longest first: one secret may contain another.
        self._secrets = tuple(sorted(known, key=len, reverse=True))

    def text(self, text: str) -> str:
        """`text` without what must not be read; the same object when there was nothing."""
        for secret in self._secrets:
            if secret in text:
                text = text.replace(secret, REDACTED)
        if "=" in text:
            text = _ASSIGNED.sub(_hide_value, text)
        if ":" in text:
            text = _STATED.sub(_hide_value, text)
            if "@" in text:
                text = _USERINFO.sub(_hide_value, text)
        if "outbound-media-stream" in text:
            text = _TICKET.sub(_hide_value, text)
        if " " in text:
            text = _SCHEME.sub(_hide_value, text)
        text = _SHAPES.sub(REDACTED, text)
        if "+" in text or "%2" in text:
            text = _NUMBER.sub(_hide_number, text)
            text = _SPACED_NUMBER.sub(_hide_spaced_number, text)
        return text

    def value(self, value: Any, *, key: str = "") -> Any:
        """The same for any structure: mappings, sequences, sets, bytes and objects, which become their repr.

        `key`: the name the value goes by; a telling one hides all of it.
        """
        return self._value(value, key, 0)

    def _value(self, value: Any, key: str, depth: int) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return _figure(value, key)
        if key and _is_secret_key(key):
            return REDACTED if value not in ("", b"") else value
        if isinstance(value, str):
            return self._string(value, key)
        if isinstance(value, bytes | bytearray | memoryview):
            return self._string(bytes(value).decode("utf-8", "backslashreplace"), key)
        if isinstance(value, Mapping | list | tuple | Set):
            return self._container(value, key, depth + 1)
        return self.text(_repr(value))

    def _container(self, value: Any, key: str, depth: int) -> Any:
        if depth > _DEEPEST:
            return "..."
        if isinstance(value, Mapping):
            return {self._name(name): self._value(item, str(name), depth) for name, item in value.items()}
        return self._sequence(value, key, depth)

    def _sequence(self, value: Any, key: str, depth: int) -> list[Any]:
        items = list(value)
        # Headers often travel as (name, value) pairs.
        if isinstance(value, tuple) and len(items) == 2 and isinstance(items[0], str | bytes):
            name = items[0] if isinstance(items[0], str) else items[0].decode("latin-1")
            return [self._value(items[0], "", depth), self._value(items[1], name, depth)]
        return [self._value(item, key, depth) for item in items]

    def _string(self, text: str, key: str) -> str:
        if key and _is_number_key(key) and _DIGITS_ONLY.fullmatch(text):
            return mask_number(text)
        return self.text(text)

    def _name(self, name: Any) -> str:
        return self.text(name if isinstance(name, str) else str(name))


def redact(value: Any, secrets: Iterable[str] = ()) -> Any:
    """One value, once: `Redactor(secrets).value(value)`."""
    return Redactor(secrets).value(value)


def _forms(secret: str) -> set[str]:
    return {secret, quote(secret, safe=""), quote(secret), quote_plus(secret)}


def _plain_key(key: str) -> str:
    return key.lower().replace("-", "").replace("_", "").replace(" ", "")


def _is_secret_key(key: str) -> bool:
    plain = _plain_key(key)
    return any(word in plain for word in _SECRET_WORDS)


def _is_number_key(key: str) -> bool:
    return bool(key) and _plain_key(key) in _NUMBER_KEYS


def _figure(value: Any, key: str) -> Any:
    # Figures under telling names are counts ("max_tokens"); but a number may be one to dial.
    if type(value) is int and value > 999_999 and _is_number_key(key):
        return mask_number(str(value))
    return value


def _repr(value: Any) -> str:
    try:
        return str(value) if isinstance(value, BaseException | str) else repr(value)
    except Exception:  # a broken repr must not cost the line
        return f"<{type(value).__name__}>"


def _hide_value(match: re.Match[str]) -> str:
    value = match["value"]
    around = '"' if value.endswith('"') else "'" if value.endswith("'") else ""
    if value.endswith('\\"'):
        around = '\\"'
    return f"{match['name']}{around}{REDACTED}{around}"


def _hide_number(match: re.Match[str]) -> str:
    return match["plus"] + mask_number("+" + match["digits"])[1:]


def _hide_spaced_number(match: re.Match[str]) -> str:
    return mask_number("+" + re.sub(r"\D", "", match[0]))
