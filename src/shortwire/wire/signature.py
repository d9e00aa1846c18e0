"""X-Twilio-Signature (protocols/twilio.md section 4.4; Twilio, usage/webhooks/webhooks-security).

Accepted for our configured public URL: as it is or with the trailing slash toggled, without a port
or with the explicit one. Compared in constant time. Nothing is taken from the Host header.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

__all__ = ["sign", "url_variants", "verify"]

_DEFAULT_PORTS = {"https": 443, "wss": 443, "http": 80, "ws": 80}


def sign(auth_token: str, url: str, params: Iterable[tuple[str, str]] = ()) -> str:
    """The signature of a request: base64 of HMAC-SHA1 over the URL and the sorted form fields.

    A repeated name contributes its distinct values, sorted (both vendor SDKs).
    """
    text = url + "".join(name + value for name, value in sorted(set(params)))
    # What is no Unicode text was never signed by anybody; it must compare unequal, not raise.
    digest = hmac.new(auth_token.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def url_variants(url: str) -> list[str]:
    """The spellings under which Twilio may have signed `url`. Raises `ValueError` if it has an impossible port."""
    parts = urlsplit(url)
    port = parts.port or _DEFAULT_PORTS.get(parts.scheme, 443)
    # Not `parts.hostname`: that is lower-cased, and Twilio signs the host as it was configured.
    host = parts.netloc.rpartition("@")[2]
    if host.rpartition("]")[2].count(":"):
        host = host.rpartition(":")[0]
    paths = [parts.path, parts.path[:-1] if parts.path.endswith("/") else parts.path + "/"]
    netlocs = [host, f"{host}:{port}"]
    if parts.port:
        netlocs.reverse()
    return [urlunsplit((parts.scheme, n, p, parts.query, "")) for p in paths for n in netlocs]


def verify(auth_token: str, url: str, params: Iterable[tuple[str, str]], signature: str) -> bool:
    """Whether `signature` is Twilio's over `url` (in any accepted spelling) and `params`."""
    if not auth_token or not signature:
        return False
    fields = tuple(params)
    given = signature.encode("utf-8", "replace")
    matched = False
    try:
        variants = url_variants(url)
    except ValueError:
        return False
    for variant in variants:
        # No early exit: which spelling matched is nobody's business.
        matched |= hmac.compare_digest(sign(auth_token, variant, fields).encode(), given)
    return matched
