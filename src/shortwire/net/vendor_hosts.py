"""Where the vendors listen: ElevenLabs hosts, Twilio edges and the regions that carry media.

Tables only. Follows protocols/elevenlabs.md section 2 (hosts) and protocols/twilio.md section 3.9 (edges and
regions). Edges end a connection near us; only the region decides where the media of a call is.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

__all__ = [
    "AGENT_HOSTS",
    "CARRIER_EDGES",
    "MEDIA_REGIONS",
    "AgentHost",
    "CarrierPoint",
    "MediaRegion",
    "carrier_points",
    "region_near",
    "voice_base_url",
]


@dataclass(frozen=True, slots=True)
class AgentHost:
    """One host of the agent platform."""

    name: str
    url: str
    separate: bool
    """A residency environment: agents and keys of its own."""


AGENT_HOSTS = (
    AgentHost("global", "https://api.elevenlabs.io", False),
    AgentHost("us", "https://api.us.elevenlabs.io", False),
    AgentHost("eu-residency", "https://api.eu.residency.elevenlabs.io", True),
    AgentHost("in-residency", "https://api.in.residency.elevenlabs.io", True),
    AgentHost("sg-residency", "https://api.sg.residency.elevenlabs.io", True),
)

CARRIER_EDGES = ("ashburn", "dublin", "frankfurt", "sao-paulo", "singapore", "sydney", "tokyo", "umatilla")


@dataclass(frozen=True, slots=True)
class MediaRegion:
    """A region with Voice and Media Streams."""

    name: str
    place: str
    edge: str
    """The edge at the region's own place: the nearest thing to its media servers that can be measured."""


MEDIA_REGIONS = (
    MediaRegion("us1", "United States", "ashburn"),
    MediaRegion("ie1", "Ireland", "dublin"),
    MediaRegion("au1", "Australia", "sydney"),
)


@dataclass(frozen=True, slots=True)
class CarrierPoint:
    """An edge of a region, as its API is reached."""

    edge: str
    region: str
    url: str

    @property
    def name(self) -> str:
        return f"{self.edge}.{self.region}"


def carrier_points() -> tuple[CarrierPoint, ...]:
    """Every edge of the default region, and the two other media regions at their own edge."""
    pairs = [(edge, "us1") for edge in CARRIER_EDGES]
    pairs += [(region.edge, region.name) for region in MEDIA_REGIONS if region.name != "us1"]
    return tuple(CarrierPoint(edge, region, f"https://api.{edge}.{region}.twilio.com") for edge, region in pairs)


_IE1_COUNTRIES = (
    "AD AL AM AT AZ BA BE BG BY CH CY CZ DE DK EE ES FI FR GB GE GG GI GR HR HU IE IL IM IS IT JE LI LT LU LV MA MC MD "
    "ME MK MT NL NO PL PT RO RS SE SI SK SM TN TR UA VA XK"
)
_NEAR_IE1 = frozenset(_IE1_COUNTRIES.split())
_NEAR_AU1 = frozenset({"AU", "NZ", "FJ", "PG", "NC", "VU", "WS", "TO"})


def region_near(country: str) -> str:
    """The media region nearest to a country's telephones (ISO 3166-1 alpha-2)."""
    return "ie1" if country in _NEAR_IE1 else "au1" if country in _NEAR_AU1 else "us1"


def voice_base_url(api_base_url: str) -> str:
    """The host of the voice API (dialling permissions) that belongs to a host of the core API.

    ``https://api.dublin.ie1.twilio.com`` becomes ``https://voice.dublin.ie1.twilio.com``; a host that is not
    Twilio's (an emulator, a proxy) serves both.
    """
    host = urlsplit(api_base_url).hostname or ""
    if host.startswith("api.") and host.endswith(".twilio.com"):
        return api_base_url.replace("://api.", "://voice.", 1)
    return api_base_url
