"""What may stand in a variable: checks that raise `ValueError` with the end of a sentence about it."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

__all__ = ["http_url", "is_loopback", "matching"]


def matching(value: str, pattern: str, complaint: str) -> str:
    """The value, if all of it fits the pattern. Raises `ValueError` with the complaint."""
    if not re.fullmatch(pattern, value, re.ASCII):
        raise ValueError(complaint)
    return value


def http_url(value: str) -> str:
    """An https address, or http on loopback, without query, credentials or trailing slash."""
    try:
        parts = urlsplit(value)
        host = parts.hostname or ""
        _ = parts.port
    except ValueError:
        raise ValueError("is not an address") from None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x20]", value):
        raise ValueError("is not an https address")
    if parts.query or parts.fragment or "?" in value or "#" in value or parts.username is not None:
        raise ValueError("has a query, a fragment or credentials in it; only https://host is wanted")
    if parts.path not in ("", "/"):
        raise ValueError("has a path; only https://host is wanted, the paths are added here")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("is http; outside this machine only https is allowed")
    return value.rstrip("/")


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine, seen from itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
