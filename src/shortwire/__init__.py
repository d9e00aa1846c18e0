"""Shortwire: an ElevenLabs agent on a Twilio phone line, with the least delay there can be."""

__all__ = ["__version__"]

__version__ = "0.1.0"
