"""The project's own benchmark: a load generator and an agent in processes of their own, before any bridge.

For outsiders, without any laboratory: one machine, loopback, no account. What the figures mean and what they
include is in docs/reference/bench.md. Nothing here shares code with the media path that it measures.
"""
