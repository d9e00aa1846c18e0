"""Persistence: one schema for SQLite and PostgreSQL, one writer thread.

`open_store` gives the durable store, `MemoryCallStore` its twin for tests. Both pass the same kit.
"""

from __future__ import annotations

from .memory import MemoryCallStore
from .opening import DATABASE_NAME, open_store
from .sql import SqlCallStore, StoreTiming

__all__ = ["DATABASE_NAME", "MemoryCallStore", "SqlCallStore", "StoreTiming", "open_store"]
