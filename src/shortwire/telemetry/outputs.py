"""Both ways out of a server's process, standard output and the log, neither of which keeps the event loop waiting."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..settings import Settings
from .lines import LinePipe, standard_output
from .logs import configure_logging

__all__ = ["outputs", "secrets_of"]


@contextmanager
def outputs(settings: Settings) -> Iterator[LinePipe[str]]:
    """What is said on standard output while the server runs. At the end the last lines have two seconds to leave."""
    log = configure_logging(settings.log_level, settings.log_json, secrets_of(settings))
    lines = standard_output()
    lines.start()
    try:
        yield lines
    finally:
        lines.close()
        log.close()


def secrets_of(settings: Settings) -> list[str]:
    """What no log line may show."""
    secrets = (
        settings.elevenlabs_api_key,
        settings.twilio_auth_token,
        settings.shortwire_api_key,
        settings.ngrok_authtoken,
        settings.shortwire_database_url,
    )
    return [s.get_secret_value() for s in secrets if s is not None]
