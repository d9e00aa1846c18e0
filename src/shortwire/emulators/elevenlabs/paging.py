"""Pages of a list: ``page_size`` (30, at most 100) and an opaque cursor. Vendor page: agents API, "List agents"."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Any

from aiohttp import web

from shortwire.emulators.elevenlabs.rest_errors import query_error

__all__ = ["BadQuery", "flag", "number", "one_of", "page", "whole"]


class BadQuery(Exception):
    """A query parameter that is refused; it carries the answer."""

    def __init__(self, name: str, message: str, kind: str) -> None:
        super().__init__(f"{name}: {message}")
        self.response = query_error(name, message, kind)


def _parsed(request: web.Request, name: str, parse: Callable[[str], Any], message: str, kind: str) -> Any:
    text = request.query.get(name)
    if text is None or text == "":
        return None
    try:
        return parse(text)
    except (ValueError, KeyError):
        raise BadQuery(name, message, kind) from None


def whole(request: web.Request, name: str) -> int | None:
    """An integer parameter. Raises `BadQuery`."""
    message = "Input should be a valid integer, unable to parse string as an integer"
    value: int | None = _parsed(request, name, int, message, "int_parsing")
    return value


def number(request: web.Request, name: str) -> float | None:
    """A number. Raises `BadQuery`."""
    message = "Input should be a valid number, unable to parse string as a number"
    value: float | None = _parsed(request, name, float, message, "float_parsing")
    return value


def flag(request: web.Request, name: str) -> bool | None:
    """A boolean as the framework reads it. Raises `BadQuery`."""
    words = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
    message = "Input should be a valid boolean, unable to interpret input"
    value: bool | None = _parsed(request, name, lambda text: words[text.lower()], message, "bool_parsing")
    return value


def one_of(request: web.Request, name: str, *allowed: str) -> str | None:
    """One of some words. Raises `BadQuery`."""
    text = request.query.get(name)
    if text is None or text in allowed:
        return text
    raise BadQuery(name, f"Input should be {' or '.join(repr(word) for word in allowed)}", "enum")


def page(request: web.Request, items: list[Any]) -> tuple[list[Any], str | None]:
    """(this page, cursor of the next). Raises `BadQuery`."""
    try:
        size = int(request.query.get("page_size", "30"))
    except ValueError:
        size = 0
    if size > 100 or size < 1:
        kind = "greater_than_equal" if request.query["page_size"].lstrip("-").isdigit() and size < 1 else ""
        raise BadQuery("page_size", "Input should be from 1 to 100", kind or "less_than_equal")
    start = 0
    if cursor := request.query.get("cursor"):
        try:
            start = int(base64.urlsafe_b64decode(cursor.encode()).decode().removeprefix("at:"))
        except (ValueError, binascii.Error):
            raise BadQuery("cursor", "Value error, invalid cursor", "value_error") from None
    end = start + size
    after = base64.urlsafe_b64encode(f"at:{end}".encode()).decode() if end < len(items) else None
    return items[start:end], after
