"""Certificates that are checked, and not decoded afterwards.

aiofastnet shows each connection's peer certificate as a dictionary. It has OpenSSL's certificate, and the only decoder
that CPython lends for one reads a file: so each handshake writes, reads and removes a temporary file, on the event loop
(docs/why/beside.md). Nobody here looks at the dictionary.
"""

from __future__ import annotations

import ssl
from importlib.metadata import version
from typing import Final

__all__ = ["READ", "Undecoded", "undecoded"]

READ: Final = ("1.2.0",)
"""The versions of aiofastnet that were read for what they ask a context. Others get the context as it is."""


class Undecoded(ssl.SSLContext):
    """A context that checks as it was set up to, and says otherwise when it is asked.

    aiofastnet asks for `verify_mode` in one place, after the handshake (`getpeercert` in ssl_engine_direct), and has
    nothing to decode with CERT_NONE. The checking is OpenSSL's and goes by what it was told, not by this;
    `tests/unit/net/test_strangers.py` holds it to that. A version that asked before would check nothing: `READ`.
    """

    @property
    def verify_mode(self) -> ssl.VerifyMode:  # type: ignore[override]  # nobody may set it any more
        return ssl.CERT_NONE


def undecoded(context: ssl.SSLContext) -> ssl.SSLContext:
    """The same context, for aiofastnet; it has to check certificates and names. Raises `ValueError` if it does not."""
    mode = super(Undecoded, context).verify_mode if isinstance(context, Undecoded) else context.verify_mode
    if mode is not ssl.CERT_REQUIRED or not context.check_hostname:
        raise ValueError("a context that does not check certificates and names")
    if type(context) is ssl.SSLContext and version("aiofastnet") in READ:
        context.__class__ = Undecoded
    return context
