"""The agent's host: what both kinds of conversation sockets need to know of it (elevenlabs.md section 6.1)."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from urllib.parse import urlsplit

from ..call.setup import ConnectionInstants
from ..errors import AgentError
from ..ports import SocketListener
from ..terms import HangupCause

__all__ = ["AgentSocketOptions", "refusal_of_status", "tell_connected", "tls_context", "unreachable", "where_of"]


@dataclass(frozen=True, slots=True)
class AgentSocketOptions:
    """How conversation sockets are opened."""

    max_message: int = 16 * 1024 * 1024
    tuned: bool = True
    """TUNE_SOCKETS: 5 s handshake deadline and a heartbeat; off: the library's defaults."""
    connect_s: float = 10.0
    """Deadline of DNS, TCP and TLS together."""


def tell_connected(listener: SocketListener, connection: ConnectionInstants) -> None:
    """The connection is there, the upgrade begins: for listeners that measure how it came about."""
    if (tell := getattr(listener, "connected", None)) is not None:
        tell(connection)


def tls_context() -> ssl.SSLContext:
    """The system's trust store, or SSL_CERT_FILE; verification cannot be turned off."""
    return ssl.create_default_context()


def where_of(url: str) -> tuple[str, int, bool]:
    """Host, port and whether TLS, of an http(s) or ws(s) URL."""
    parts = urlsplit(url)
    secure = parts.scheme in ("https", "wss")
    return parts.hostname or "", parts.port or (443 if secure else 80), secure


def refusal_of_status(status: int, words: str = "") -> AgentError:
    """The upgrade was answered with something else than 101."""
    cause = {401: HangupCause.AGENT_UNAUTHORIZED, 403: HangupCause.AGENT_UNAUTHORIZED, 429: HangupCause.AGENT_BUSY}
    return AgentError(
        "the agent's host did not open the conversation socket",
        cause=cause.get(status, HangupCause.AGENT_ERROR),
        details=f"HTTP {status}" if status else words,
    )


def unreachable(url: str, error: BaseException) -> AgentError:
    """DNS, TCP, TLS or the deadline."""
    host, port, _ = where_of(url)
    words = str(error) or type(error).__name__
    return AgentError(
        HangupCause.AGENT_UNREACHABLE.meaning, cause=HangupCause.AGENT_UNREACHABLE, details=f"{host}:{port}: {words}"
    )
