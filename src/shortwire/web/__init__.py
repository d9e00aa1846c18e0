"""HTTP: the carrier's webhooks, the JSON API, the seed's routes.

`create_app` is loaded on use, so that importing a name of this package does not import a framework.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .options import SignatureCheck, WebOptions

if TYPE_CHECKING:
    from .app import create_app

__all__ = ["SignatureCheck", "WebOptions", "create_app"]


def __getattr__(name: str) -> Any:
    if name == "create_app":
        from .app import create_app

        return create_app
    raise AttributeError(name)
