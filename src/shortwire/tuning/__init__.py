"""Which settings are worth it on your network: the same call in pairs, and what the caller heard of the difference.

Plays whole calls and asks the recording; the media path's own cost is `shortwire.bench`'s business. The method and its
limits: docs/how-to/tune.md.
"""
