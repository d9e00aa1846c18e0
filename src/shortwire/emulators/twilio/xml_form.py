"""The XML form of an answer, for paths that do not end in .json (page "twilio api response formats", twilio.md 3.8).

Pure: the JSON document in, the XML text out. Names become CamelCase; a list keeps its paging as attributes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import escape, quoteattr

__all__ = ["xml_of"]

_ROOT = "TwilioResponse"
_ERROR_ORDER = (("Status", "status"), ("Message", "message"), ("Code", "code"), ("MoreInfo", "more_info"))


def xml_of(body: Mapping[str, Any], path: str) -> str:
    """A resource, a page of them, or an error, under ``<TwilioResponse>``. The path names the resource."""
    if set(body) >= {"code", "message", "status", "more_info"}:
        inside = "".join(f"<{tag}>{escape(str(body[name]))}</{tag}>" for tag, name in _ERROR_ORDER)
        inside = f"<RestException>{inside}</RestException>"
    elif "first_page_uri" in body:
        inside = _page(body)
    else:
        inside = _element(_singular(path), body)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{_ROOT}>{inside}</{_ROOT}>'


def _page(body: Mapping[str, Any]) -> str:
    key = next(name for name, value in body.items() if isinstance(value, list))
    paging = "".join(
        f" {name.replace('_', '')}={quoteattr('' if value is None else str(value))}"
        for name, value in body.items()
        if name != key
    )
    rows = "".join(_element(_camel(key.removesuffix("s")), row) for row in body[key])
    return f"<{_camel(key)}{paging}>{rows}</{_camel(key)}>"


def _element(tag: str, value: Any) -> str:
    if value is None or value == "":
        return f"<{tag}/>"
    if isinstance(value, Mapping):
        inside = "".join(_element(_camel(name), item) for name, item in value.items())
    elif isinstance(value, list):
        inside = "".join(_element("Item", item) for item in value)
    else:
        inside = escape(str(value).lower() if isinstance(value, bool) else str(value))
    return f"<{tag}>{inside}</{tag}>"


def _camel(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def _singular(path: str) -> str:
    """``.../Calls/CA1`` and ``.../Calls`` (a create) are a Call; ``.../Accounts/AC1`` an Account."""
    parts = [part for part in path.partition("?")[0].split("/") if part]
    named = next((part for part in reversed(parts) if part[:1].isupper() and part.endswith("s")), "Resources")
    return named.removesuffix("s")
