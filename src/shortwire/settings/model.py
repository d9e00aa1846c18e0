"""Every variable, as a field of `Settings` under its own name in lower case.

So a name found in the code, in `.env` and in `docs/reference/settings.md` is the same word. Where values come
from is the business of `loading`, what may stand in one that of `checks`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from .. import native
from ..call.options import BridgeOptions, Limits, Prewarm, Toggles
from ..numbers import E164, is_country
from ..owner import MOST_WORKERS
from ..terms import Profile
from .checks import http_url, matching

__all__ = ["GROUPS", "TWILIO_API", "Settings"]

GROUPS = {
    "agent": "The agent (ElevenLabs)",
    "carrier": "The telephone line (Twilio)",
    "address": "The public address",
    "access": "Who may do what",
    "server": "The server",
    "calls": "Calls",
    "toggles": "Optimizations (each has two real sides; unset means the profile's side)",
    "logs": "Logs",
}
"""Groups of variables, in the order in which a person meets them."""

TWILIO_API = "https://api.twilio.com"
_PORTS = {Profile.OPTIMIZED: 8001, Profile.BASELINE: 8000}


def _set(group: str, default: Any, text: str, example: str, **bounds: int) -> Any:
    """A variable: the group it is shown in, its default, what it does, and something that works."""
    return Field(default, description=text, examples=[example], json_schema_extra={"group": group}, **bounds)  # type: ignore[call-overload]


class Settings(BaseSettings):
    """Everything that can be set. Made by `load_settings`, which reports problems for people."""

    model_config = SettingsConfigDict(
        env_ignore_empty=True, extra="ignore", frozen=True, hide_input_in_errors=True, env_file_encoding="utf-8"
    )

    elevenlabs_api_key: SecretStr = _set("agent", ..., "API key of the ElevenLabs account.", "sk_...")
    elevenlabs_agent_id: str = _set("agent", ..., "The agent that speaks when a call names no other.", "agent_...")
    elevenlabs_base_url: str = _set(
        "agent",
        "https://api.elevenlabs.io",
        "Host of the agent platform: a residency region, or the emulator.",
        "https://api.eu.residency.elevenlabs.io",
    )
    twilio_account_sid: str = _set("carrier", ..., "Account SID of the Twilio account.", "AC" + "0" * 32)
    twilio_auth_token: SecretStr = _set(
        "carrier", ..., "Auth token of that account; also checks the signature of every webhook.", "0" * 32
    )
    twilio_phone_number: str = _set("carrier", ..., "The Twilio number that calls are made from.", "+14155550100")
    twilio_api_base_url: str = _set(
        "carrier",
        TWILIO_API,
        "Host of the carrier's API: a region, or the emulator.",
        "https://api.dublin.ie1.twilio.com",
    )
    twilio_edge: str = _set(
        "carrier", "", "Twilio edge; ignored when TWILIO_API_BASE_URL is set to something of its own.", "dublin"
    )
    twilio_region: str = _set(
        "carrier", "", "Twilio region; ignored when TWILIO_API_BASE_URL is set to something of its own.", "ie1"
    )
    server_url: str = _set(
        "address",
        "",
        "Public https address of this server as Twilio reaches it. Needed unless a tunnel provides it.",
        "https://calls.example.com",
    )
    shortwire_tunnel: Literal["ngrok"] | None = _set(
        "address", None, "Open a tunnel at start and use its address as SERVER_URL.", "ngrok"
    )
    ngrok_authtoken: SecretStr | None = _set("address", None, "Token of the ngrok account, for the tunnel.", "2abc...")
    shortwire_api_key: SecretStr = _set(
        "access",
        ...,
        "The key that API callers show (`Authorization: Bearer`); at least 16 characters.",
        "(a random text)",
    )
    allowed_countries: Annotated[frozenset[str], NoDecode] = _set(
        "access",
        frozenset(),
        "Countries that may be dialled, ISO codes with commas. Empty: outbound dialling is off.",
        "US,CA",
    )
    shortwire_profile: Profile = _set(
        "server", Profile.OPTIMIZED, "`optimized`, or `baseline`: what most people would have written.", "optimized"
    )
    shortwire_host: str = _set("server", "127.0.0.1", "Address to listen on.", "0.0.0.0")  # noqa: S104 - an example
    shortwire_port: int | None = _set(
        "server", None, "Port to listen on; 0 takes a free one. 8001 optimized, 8000 baseline.", "8001", ge=0, le=65535
    )
    shortwire_workers: int = _set(
        "server",
        1,
        "Processes that share the calls behind the one port: as many as there are cores to give them. "
        "More than 1 not on Windows.",
        "2",
        ge=1,
        le=MOST_WORKERS,
    )
    shortwire_data_dir: Path = _set(
        "server", Path("~/.shortwire"), "Directory of the database and the tapes.", "/var/lib/shortwire"
    )
    shortwire_database_url: SecretStr | None = _set(
        "server",
        None,
        "PostgreSQL instead of SQLite in the data directory.",
        "postgresql://user:password@localhost/shortwire",
    )
    max_call_seconds: int = _set(
        "calls", 600, "Longest a call may last; sent to the carrier and enforced here too.", "600", ge=1, le=14400
    )
    ring_timeout_seconds: int = _set("calls", 30, "How long it rings.", "30", ge=1, le=600)
    shortwire_tape: bool = _set("calls", False, "Write a tape of each call: audio and words of both sides.", "true")
    shortwire_native: bool = _set(
        "calls",
        True,
        "Take the compiled way for straight audio, where it could be built; off: the same in Python, slower.",
        "false",
    )
    disable_websocket_compression: bool | None = _set(
        "toggles",
        None,
        "On: permessage-deflate neither offered nor accepted. Off: offered to the agent, accepted from whoever "
        "offers it (no effect on the carrier's leg: the carrier offers none), and stock sockets instead of lean ones.",
        "true",
    )
    increase_max_payload: bool | None = _set(
        "toggles",
        None,
        "On: agent messages up to 16 MiB, carrier messages up to 64 KiB (there the stricter side). Off: 1 MiB on both. "
        "No effect on messages of the usual size, and none on how fast they are relayed.",
        "true",
    )
    optimize_audio_parsing: bool | None = _set(
        "toggles",
        None,
        "On: audio is spliced from one message to the other. Off: JSON and base64, both ways. With an agent that does "
        "not speak mu-law only the JSON differs: its audio is decoded and converted either way.",
        "true",
    )
    latency_logging: bool | None = _set(
        "toggles",
        None,
        "On: the [LATENCY] lines and the summary. Off: quiet. No effect on what is measured and stored.",
        "true",
    )
    low_latency_mode: bool | None = _set(
        "toggles",
        None,
        "On: the per-call overrides that the agent permits and that shorten a turn. No effect on an agent that "
        "permits none of them, or is fast already; the server says at start what it sends.",
        "true",
    )
    prewarm: Prewarm | None = _set(
        "toggles",
        None,
        "What is made while it rings: `off`, `signed-url`, `tls`, or `conversation` (may be billed). With stock "
        "sockets `tls` is no more than `signed-url`: they cannot be warmed.",
        "tls",
    )
    inline_twiml: bool | None = _set(
        "toggles",
        None,
        "On: TwiML travels with the call creation. Off: fetched by webhook after pick-up. No effect on inbound calls: "
        "their webhook is the first that is heard of them.",
        "true",
    )
    tune_sockets: bool | None = _set(
        "toggles",
        None,
        "On: no Nagle, quick acks where frames come bunched, short deadlines, a heartbeat, bounds on what waits "
        "unsent. Off: library defaults. With stock sockets neither Nagle nor quick acks differ: the libraries switch "
        "Nagle off by themselves.",
        "true",
    )
    log_level: Literal["debug", "info", "warning", "error"] = _set("logs", "info", "How much is logged.", "debug")
    log_json: bool = _set("logs", False, "Log lines as JSON.", "true")

    _warnings: tuple[str, ...] = PrivateAttr(())

    @field_validator("elevenlabs_api_key", "twilio_auth_token", "ngrok_authtoken", "shortwire_api_key")
    @classmethod
    def _is_one_word(cls, value: SecretStr | None) -> SecretStr | None:
        text = value.get_secret_value() if value else ""
        if text.endswith("..."):
            raise ValueError("is still the placeholder of the example")
        if not text.isascii() or re.search(r"[\s\x00-\x20\x7f]", text):
            raise ValueError(
                "holds a blank or a character outside ASCII; it was probably copied with something around it"
            )
        return value

    @field_validator("shortwire_api_key")
    @classmethod
    def _is_long(cls, value: SecretStr) -> SecretStr:
        if len(value.get_secret_value()) < 16:
            raise ValueError("is shorter than 16 characters and could be guessed")
        return value

    @field_validator("elevenlabs_agent_id")
    @classmethod
    def _is_agent_id(cls, value: str) -> str:
        return matching(value, r"[A-Za-z0-9_-]{1,128}", "is not an agent's id (letters, digits, _ and -)")

    @field_validator("twilio_account_sid")
    @classmethod
    def _is_account_sid(cls, value: str) -> str:
        return matching(value, r"AC[0-9a-fA-F]{32}", "is not an Account SID (AC and 32 hex digits)")

    @field_validator("twilio_edge", "twilio_region")
    @classmethod
    def _is_label(cls, value: str) -> str:
        return matching(value, r"[a-z0-9-]{0,40}", "is not the name of an edge or region")

    @field_validator("twilio_phone_number")
    @classmethod
    def _is_e164(cls, value: str) -> str:
        return matching(value, E164.pattern, "is not a telephone number in E.164 (a plus and digits only)")

    @field_validator("server_url", "elevenlabs_base_url", "twilio_api_base_url")
    @classmethod
    def _is_url(cls, value: str) -> str:
        return http_url(value) if value else value

    @field_validator("allowed_countries", mode="before")
    @classmethod
    def _are_countries(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        codes = {code.strip().upper() for code in value.split(",") if code.strip()}
        if strangers := sorted(code for code in codes if not is_country(code)):
            hint = "; the United Kingdom is GB" if "UK" in strangers else ""
            raise ValueError(f"{', '.join(strangers)}: no such ISO 3166-1 country code{hint}")
        return frozenset(codes)

    @field_validator("shortwire_data_dir")
    @classmethod
    def _home(cls, value: Path) -> Path:
        try:
            return value.expanduser()
        except RuntimeError:
            raise ValueError("begins with ~ and a name that has no home directory on this machine") from None

    @field_validator("shortwire_database_url")
    @classmethod
    def _is_postgres(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not value.get_secret_value().startswith(("postgresql://", "postgresql+psycopg://")):
            raise ValueError("is not a PostgreSQL address; leave it unset for SQLite in SHORTWIRE_DATA_DIR")
        return value

    @field_validator("shortwire_profile", "prewarm", "log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @property
    def port(self) -> int:
        return _PORTS[self.shortwire_profile] if self.shortwire_port is None else self.shortwire_port

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd but does not stop us, one sentence each; to be shown at start."""
        return self._warnings

    @property
    def carrier_edge(self) -> tuple[str, str]:
        """Twilio edge and region; both empty with a base URL of its own, which they would mangle."""
        return (self.twilio_edge, self.twilio_region) if self.twilio_api_base_url == TWILIO_API else ("", "")

    @property
    def toggles(self) -> Toggles:
        """The profile's side of each toggle, except where one was set."""
        base = Toggles() if self.shortwire_profile is Profile.OPTIMIZED else Toggles.baseline()
        given = {name: getattr(self, name) for name in Toggles.__dataclass_fields__}
        return Toggles(**{name: getattr(base, name) if side is None else side for name, side in given.items()})

    def with_server_url(self, url: str) -> Settings:
        """The same settings under the public address that a tunnel gave us."""
        return self.model_copy(update={"server_url": http_url(url)})

    def bridge_options(self) -> BridgeOptions:
        """What the switchboard is built from."""
        return BridgeOptions(
            public_url=self.server_url,
            our_number=self.twilio_phone_number,
            agent_id=self.elevenlabs_agent_id,
            allowed_countries=self.allowed_countries,
            profile=self.shortwire_profile.value,
            toggles=self.toggles,
            limits=Limits(max_call_s=self.max_call_seconds, ring_timeout_s=self.ring_timeout_seconds),
            tape_dir=str(self.shortwire_data_dir / "tapes") if self.shortwire_tape else None,
            native=self.shortwire_native,
        )

    @property
    def _media_path(self) -> str:
        toggles = self.toggles
        if not (toggles.optimize_audio_parsing and toggles.disable_websocket_compression):
            return "Python, as the toggles want it"
        if not self.shortwire_native:
            return "Python, as SHORTWIRE_NATIVE wants it"
        return "compiled" if native.AVAILABLE else f"Python: the compiled part was not built ({native.WHY_NOT})"

    def banner(self) -> list[tuple[str, str]]:
        """What is shown at start, as (label, text). Holds no secret."""
        toggles = self.toggles
        sides = {name.upper(): getattr(toggles, name) for name in Toggles.__dataclass_fields__}
        on = [name for name, side in sides.items() if side is True]
        off = [name for name, side in sides.items() if side is False]
        countries = ", ".join(sorted(self.allowed_countries))
        # Which one is known once it is taken: the line that says "ready" has it.
        where = f"{self.shortwire_host}:{self.port}" if self.port else f"{self.shortwire_host}, on a free port"
        return [
            ("profile", self.shortwire_profile.value),
            ("optimizations on", ", ".join([*on, f"PREWARM={toggles.prewarm.value}"])),
            ("optimizations off", ", ".join(off) or "none"),
            ("listening", f"http://{where}"),
            *([("workers", f"{self.shortwire_workers} processes")] if self.shortwire_workers > 1 else []),
            ("public address", self.server_url or f"(from the {self.shortwire_tunnel} tunnel)"),
            ("agent", f"{self.elevenlabs_agent_id} at {self.elevenlabs_base_url}"),
            ("line", f"{self.twilio_phone_number} at {self.twilio_api_base_url}"),
            ("data", "PostgreSQL" if self.shortwire_database_url else str(self.shortwire_data_dir)),
            ("media path", self._media_path),
            ("tapes", "written: both sides' audio and words are kept" if self.shortwire_tape else "off"),
            ("webhooks", "signature checked on every webhook and media stream"),
            ("API", "key required on every route but /healthz, /readyz, /docs and /openapi.json"),
            ("dialling", f"allowed: {countries}" if countries else "outbound dialling off: set ALLOWED_COUNTRIES"),
            ("longest call", f"{self.max_call_seconds} s (MAX_CALL_SECONDS)"),
        ]
