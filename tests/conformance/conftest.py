"""Which event loop: what reads sockets beside their transports can do so on uvloop only."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    who = getattr(item, "callspec", None) and item.callspec.params.get("who", "")  # type: ignore[attr-defined]
    if str(who).startswith("tapped"):
        return {"uvloop": uvloop.new_event_loop}
    return {"standard": asyncio.new_event_loop}
