"""Pointing the account's number at this server, and putting back what was there.

`point` remembers what it replaces; `follow` moves on with a tunnel's new address; `put_back` restores it, unless
somebody else has changed it meanwhile. Twilio, api/incomingphonenumber-resource: an application or a trunk on the
number wins over its webhook, so with one of these nothing is changed and the person is told.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from ..errors import BridgeError, ConfigError
from .twilio_account import NumberFacts, TwilioAccount

__all__ = ["INCOMING_PATH", "NumberWebhook"]

INCOMING_PATH = "/incoming-call"
log = structlog.get_logger(__name__)


class NumberWebhook:
    """The webhook of one number. On one event loop; nothing here stands on a call's path."""

    def __init__(self, account: TwilioAccount, number: str, say: Callable[[str], None] = lambda line: None) -> None:
        """`say` takes lines for the person at the terminal."""
        self._account = account
        self._number = number
        self._say = say
        self._before: NumberFacts | None = None
        self._ours = ""

    async def point(self, public_url: str) -> None:
        """Send the number's incoming calls to ``public_url``.

        Raises `ConfigError` when the account does not own the number or something else takes its calls, and what the
        carrier raises.
        """
        found = await self._find()
        if found.voice_application_sid or found.trunk_sid:
            what = "a TwiML application" if found.voice_application_sid else "a SIP trunk"
            raise ConfigError(
                f"{what} takes the number's calls",
                details="in the console set 'Configure with' of the number to Webhook, then start again",
            )
        url = public_url + INCOMING_PATH
        if self._before is None:
            self._before = found
        if (found.voice_url, found.voice_method) != (url, "POST"):
            await self._account.point_number(found.sid, url)
            self._say(f"incoming calls: the number's webhook is now {url}")
        else:
            self._say(f"incoming calls: the number's webhook was already {url}")
        self._ours = url

    async def follow(self, public_url: str) -> None:
        """The public address has changed. Never raises: the calls that are on matter more."""
        try:
            await self.point(public_url)
        except BridgeError as error:
            log.error("number_webhook.not_moved", error=str(error))
            self._say(f"WARNING: incoming calls still go to the old address: {error}")

    async def put_back(self) -> None:
        """What was there before `point`. Leaves alone what somebody else has set since. Never raises."""
        before, self._before = self._before, None
        if before is None or before.voice_url == self._ours:
            return
        try:
            now = await self._find()
            if now.voice_url != self._ours:
                self._say("incoming calls: the number's webhook was changed by somebody else; left as it is")
                return
            # Empty text clears it; a number that had none must not keep ours.
            await self._account.point_number(before.sid, before.voice_url, before.voice_method or "POST")
            self._say(f"incoming calls: the number's webhook is again {before.voice_url or 'empty'}")
        except BridgeError as error:
            log.error("number_webhook.not_put_back", error=str(error))
            self._say(f"WARNING: the number's webhook could not be put back to {before.voice_url or 'empty'}: {error}")

    async def _find(self) -> NumberFacts:
        for found in await self._account.numbers():
            if found.number == self._number:
                return found
        raise ConfigError(
            "the account does not own TWILIO_PHONE_NUMBER", details="shortwire doctor --only carrier.number says more"
        )
