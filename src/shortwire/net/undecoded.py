"""Certificates that are checked, and not decoded afterwards.

aiofastnet shows each connection's peer certificate as a dictionary. CPython makes one out of a file only, so each
handshake writes, reads and removes a temporary file, on the event loop: as long as all that is cryptography in it
(docs/why/beside.md). Nobody here looks at the dictionary.
"""

from __future__ import annotations

import ssl

__all__ = ["Undecoded", "undecoded"]


class Undecoded(ssl.SSLContext):
    """A context that checks as it was set up to, and says otherwise when it is asked.

    aiofastnet 1.2 asks for `verify_mode` in one place, after the handshake (`getpeercert` in ssl_engine_direct), and
    has nothing to decode with CERT_NONE. The checking is OpenSSL's and goes by what it was told, not by this;
    `tests/unit/net/test_strangers.py` holds it to that, with the library that is installed.
    """

    @property
    def verify_mode(self) -> ssl.VerifyMode:  # type: ignore[override]  # nobody may set it any more
        return ssl.CERT_NONE


def undecoded(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same context, for aiofastnet; it has to check certificates and names. Raises `ValueError` if it does not."""
    if isinstance(context, Undecoded):
        return context
    if context.verify_mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise ValueError("a context that does not check certificates and names")
    context.__class__ = Undecoded
    return context
