"""What every live call of a process shares: the adapters, the options, the way facts leave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from ..call.options import BridgeOptions
from ..call.session import Converters
from ..clock import Clock
from ..ports import AgentDialer, AgentPlatform, CallStore, Carrier, EventSink
from ..records import CallEvent, CallRecord
from ..terms import AgentId
from .tape_files import TapeFiles

__all__ = ["Context"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Context:
    """Frozen at start; handed to every call."""

    options: BridgeOptions
    store: CallStore
    carrier: Carrier
    platform: AgentPlatform
    dialer: AgentDialer
    clock: Clock
    converters: Converters
    agent_base_url: str
    """Where warm connections go before the signed URL is known; the two hosts are the same but for residency."""
    sinks: Sequence[EventSink] = ()
    tapes: TapeFiles | None = None
    """Where calls are taped; None: nowhere."""
    masked: Callable[[str], str] = field(default=lambda text: text)
    """A text of others without what must not be read."""
    verify_signature: Callable[[str, str], bool] = field(default=lambda _url, _signature: False)
    """Whether the carrier signed the upgrade of this URL."""

    agent_overrides: Callable[[AgentId], dict[str, Any]] = field(default=lambda _agent_id: {})
    """What every call of an agent overrides by itself (LOW_LATENCY_MODE)."""
    worker: int | None = None
    """Which of several workers this process is; None: it is the only one."""
    settles: Callable[[str], bool] | None = None
    """Whether what a node left open is ours to settle at start; None: only what our own node left."""

    def tell(self, call: CallRecord, event: CallEvent) -> None:
        """Let everybody beside the call know. A sink that fails harms nobody else."""
        self.store.append(event)
        for sink in self.sinks:
            try:
                sink.on_event(call, event)
            except Exception:
                log.exception("sink.failed", call_id=call.id, kind=event.kind)
