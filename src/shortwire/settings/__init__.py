"""What can be set, from the command line, the environment and `.env`, in that order.

Read only by `app`, `workers` and `cli`; everything below them gets frozen options. All problems are told at once
(`ConfigError`).
"""

from .loading import load_settings
from .model import GROUPS, Settings

__all__ = ["GROUPS", "Settings", "load_settings"]
