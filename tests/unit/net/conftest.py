"""Which event loop: connections are made on the standard one and on uvloop, which have little in common below."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

ON_BOTH = {"test_reach", "test_heads"}
"""Modules whose tests run on both; the rest has the standard loop."""
ON_UVLOOP = {"test_tap"}
"""Those of what only uvloop makes possible."""


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    standard = {"standard": asyncio.new_event_loop}
    fast = {"uvloop": uvloop.new_event_loop}
    if item.path.stem in ON_UVLOOP:
        return fast
    return {**standard, **fast} if item.path.stem in ON_BOTH else standard
