"""Persistence: one schema for SQLite and PostgreSQL, one writer thread."""
