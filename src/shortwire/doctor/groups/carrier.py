"""Checks of the telephone line: the account, its number, what it may dial, and how far away it is.

Everything is read; nothing is dialled. Pages: protocols/twilio.md 3.1, 3.8, 3.9 and section 8.
"""

from __future__ import annotations

import asyncio
from urllib.parse import urlsplit

from ...errors import BridgeError, CarrierRefused, NumberRefused
from ...net.probes import Series
from ...net.twilio_account import NumberFacts
from ...net.vendor_hosts import MEDIA_REGIONS, region_near
from ...numbers import parse_number
from ...telemetry.redaction import mask_number
from ..bench import Bench
from ..check import Fix, Tell, check, fail, warn

_LOW_BALANCE = 5.0
_LIVE = {"queued", "ringing", "in-progress"}


@check(
    "carrier.credentials",
    "Twilio knows these credentials",
    "Fetches the account with TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.",
    fail(
        "wrong_token",
        "Twilio refuses the credentials",
        "no call can be placed, and every webhook is refused as forged",
        "copy TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN again from console.twilio.com, Account Info (the live ones of "
        "this account, not an API key's secret)",
    ),
    fail(
        "wrong_region",
        "these credentials are not known in this region",
        "no call can be placed",
        "take out TWILIO_EDGE and TWILIO_REGION, or use the auth token that the console shows for region {region}",
    ),
    fail(
        "unreachable",
        "Twilio's API cannot be reached",
        "no call can be placed",
        "check TWILIO_API_BASE_URL, TWILIO_EDGE and this machine's network: {why}",
    ),
    fail(
        "not_twilio",
        "what answers is not Twilio's API",
        "no call can be placed",
        "set TWILIO_API_BASE_URL=https://api.twilio.com",
    ),
)
async def credentials(bench: Bench, tell: Tell) -> None:
    region = bench.settings.carrier_edge[1]
    try:
        account = await bench.first_hand(bench.account)
    except CarrierRefused as refusal:
        if refusal.carrier_code == 20003 or refusal.status == 401:
            slug = "wrong_region" if region not in ("", "us1") else "wrong_token"
            tell.problem(slug, refusal.details or refusal.message, region=region)
        elif refusal.status == 0:
            why = refusal.details.partition("(")[2].rstrip(")") or refusal.message
            tell.problem("unreachable", why, why=why)
        elif refusal.status == 404:
            tell.problem("not_twilio", refusal.details)
        else:
            tell.unknown(str(refusal))
        return
    except BridgeError as error:
        if "could not be read" in error.message:
            tell.problem("not_twilio", error.details or error.message)
        else:
            tell.problem("unreachable", str(error), why=error.details or error.message)
        return
    if not account.sid:
        tell.problem("not_twilio", "the answer names no account")
        return
    tell.ok("the account answers")


@check(
    "carrier.account",
    "The account may call",
    "Reads type and status of the account.",
    fail(
        "suspended",
        "the account is suspended",
        "every call is refused",
        "settle what console.twilio.com says about the account",
    ),
    fail("closed", "the account is closed", "every call is refused", "use another account's TWILIO_ACCOUNT_SID"),
    warn(
        "trial",
        "this is a trial account",
        "only verified numbers can be called, an announcement is played before the agent, and few calls may be on at "
        "once",
        "upgrade at console.twilio.com, Billing; or verify the number you call under Verified Caller IDs",
    ),
)
async def account(bench: Bench, tell: Tell) -> None:
    found = await bench.account()
    if found.status in ("suspended", "closed"):
        tell.problem(found.status, f"status {found.status}")
    elif found.type == "Trial":
        tell.problem("trial", "type Trial")
    else:
        tell.ok(f"{found.type}, {found.status}{', a subaccount' if found.owner_sid not in ('', found.sid) else ''}")


@check(
    "carrier.number",
    "The number is ours and speaks",
    "Looks for TWILIO_PHONE_NUMBER among the account's numbers and reads what it can do.",
    fail(
        "not_owned",
        "the account does not own this number",
        "every call from it is refused (21210)",
        "set TWILIO_PHONE_NUMBER to {instead}",
    ),
    warn(
        "caller_id_only",
        "the number is verified, but not the account's",
        "outbound calls work; nobody can call the agent on it",
        "buy a number at console.twilio.com and set TWILIO_PHONE_NUMBER to it",
    ),
    fail(
        "no_voice",
        "the number cannot carry calls",
        "calls from it are refused",
        "buy a number with Voice, and set TWILIO_PHONE_NUMBER to it",
    ),
    fail(
        "fax",
        "the number receives faxes",
        "callers hear a fax machine",
        "set 'Accept incoming' of the number to Voice Calls, in the console",
    ),
)
async def number(bench: Bench, tell: Tell) -> None:
    ours = bench.settings.twilio_phone_number
    numbers = await bench.first_hand(bench.numbers)
    for found in numbers:
        if found.number == ours:
            if not found.voice:
                tell.problem("no_voice", f"{mask_number(ours)} has no voice capability")
            elif found.voice_receive_mode == "fax":
                tell.problem("fax", f"{mask_number(ours)} is set to receive faxes")
            else:
                tell.ok(f"{mask_number(ours)} is one of {len(numbers)}, with voice")
            return
    if ours in await bench.carrier.verified_caller_ids():
        tell.problem("caller_id_only", f"{mask_number(ours)} is a verified caller ID")
        return
    able = [candidate.number for candidate in numbers if candidate.voice]
    instead = ", ".join(mask_number(candidate) for candidate in able[:5]) or "a number that you buy in the console"
    fix = Fix("TWILIO_PHONE_NUMBER", able[0], "the account's only number with voice") if len(able) == 1 else None
    tell.problem("not_owned", f"{mask_number(ours)} is none of the account's {len(numbers)}", instead=instead, fix=fix)


@check(
    "carrier.number_region",
    "The number's calls are handled near it",
    "Compares the number's country with the region whose media servers carry the call.",
    warn(
        "far",
        "the number's country is far from the region",
        "every word crosses an ocean twice: about {ms} ms more per turn",
        "TWILIO_EDGE={edge} and TWILIO_REGION={region}, with that region's auth token, and the number routed there in "
        "the console",
    ),
)
async def number_region(bench: Bench, tell: Tell) -> None:
    try:
        country = parse_number(bench.settings.twilio_phone_number).country
    except NumberRefused:
        tell.ok("a test number, in no country")
        return
    region, near = bench.settings.carrier_edge[1] or "us1", region_near(country)
    if near == region or bench.on_emulators:
        tell.ok(f"a number in {country}, media in {region}")
        return
    edge = next(known.edge for known in MEDIA_REGIONS if known.name == near)
    # Half of the published transatlantic round trip each way; Australia is about twice as far.
    ms = 160 if "au1" in (near, region) else 80
    effect = f"every word crosses an ocean twice: about {ms} ms more per turn (an estimate by distance)"
    tell.problem("far", f"a number in {country}, media in {region}", edge=edge, region=near, ms=ms, effect=effect)


@check(
    "carrier.webhook",
    "Incoming calls come here",
    "Reads the number's voice settings and compares them with SERVER_URL.",
    warn(
        "unset",
        "nothing is set for incoming calls",
        "callers hear that the application has a problem; outbound calls work",
        "shortwire serve --configure-number, or in the console: A call comes in, Webhook, {url}, HTTP POST",
    ),
    fail(
        "elsewhere",
        "incoming calls go to another address",
        "callers do not reach this server",
        "shortwire serve --configure-number, or in the console: A call comes in, Webhook, {url}, HTTP POST",
    ),
    fail(
        "wrong_path",
        "incoming calls come to this host, but to a path that answers nothing",
        "callers hear that the application has a problem",
        "in the console: A call comes in, Webhook, {url}, HTTP POST",
    ),
    fail(
        "http",
        "incoming calls come over http",
        "signatures do not match the https address, so every call is refused; words travel unprotected",
        "in the console: A call comes in, Webhook, {url}, HTTP POST",
    ),
    fail(
        "application",
        "a TwiML application takes the number's calls",
        "the number's own webhook is ignored",
        "in the console: Configure with, Webhook; then {url}",
    ),
    fail(
        "trunk",
        "a SIP trunk takes the number's calls",
        "the number's own webhook is ignored",
        "in the console: Configure with, Webhook; then {url}",
    ),
)
async def webhook(bench: Bench, tell: Tell) -> None:
    found = await bench.our_number()
    base = bench.settings.server_url
    if not base:
        way = await bench.way()
        base = way.public_url
    url = f"{base}/incoming-call"
    slug, text = _webhook_problem(found, url)
    if slug:
        tell.problem(slug, text, url=url)
    else:
        tell.ok(f"{urlsplit(url).netloc}/incoming-call")


def _webhook_problem(found: NumberFacts, url: str) -> tuple[str, str]:  # noqa: PLR0911 - one return per problem
    if found.voice_application_sid:
        return "application", "an application is set on the number"
    if found.trunk_sid:
        return "trunk", "a trunk is set on the number"
    if not found.voice_url or "demo.twilio.com" in found.voice_url:
        return "unset", "the number's voice webhook is " + ("Twilio's demo" if found.voice_url else "empty")
    is_, ought = urlsplit(found.voice_url), urlsplit(url)
    if is_.hostname != ought.hostname:
        return "elsewhere", f"the webhook's host is {is_.netloc}, not {ought.netloc}"
    if is_.scheme == "http" and ought.scheme == "https":
        return "http", "the webhook is http"
    default = {"https": 443, "http": 80}
    if (is_.port or default.get(is_.scheme)) != (ought.port or default.get(ought.scheme)):
        return "elsewhere", f"the webhook's port is {is_.port}"
    if is_.path.rstrip("/") != ought.path:
        return "wrong_path", f"the webhook's path is {is_.path or '/'}"
    return "", ""


@check(
    "carrier.geo_permissions",
    "The allowed countries may be dialled",
    "Reads the account's dialling permissions for every country of ALLOWED_COUNTRIES.",
    fail(
        "not_permitted",
        "the account may not dial a country that we allow",
        "calls there are refused (21215)",
        "console.twilio.com, Voice, Settings, Geo permissions: tick {countries}; or take it out of ALLOWED_COUNTRIES",
    ),
    warn(
        "toll_fraud",
        "ranges known for toll fraud may be dialled",
        "a stolen key can run up a large bill within an hour",
        "console.twilio.com, Voice, Settings, Geo permissions: untick the high-risk ranges of {countries}",
    ),
)
async def geo_permissions(bench: Bench, tell: Tell) -> None:
    countries = sorted(bench.settings.allowed_countries)
    if not countries:
        tell.ok("no country is allowed here (see settings.dialling)")
        return
    await bench.account()
    found = await asyncio.gather(*(bench.carrier.permission(country) for country in countries[:40]))
    closed = [country for country, known in zip(countries, found, strict=False) if known and not known.low_risk]
    risky = [country for country, known in zip(countries, found, strict=False) if known and known.toll_fraud]
    if closed:
        tell.problem("not_permitted", f"not permitted: {', '.join(closed)}", countries=", ".join(closed))
    if risky:
        tell.problem("toll_fraud", f"permitted: {', '.join(risky)}", countries=", ".join(risky))
    if tell.silent:
        tell.ok(f"permitted: {', '.join(countries)}")


@check(
    "carrier.balance",
    "There is money on the account",
    "Reads the balance.",
    fail("empty", "the balance is used up", "every call is refused", "top up at console.twilio.com, Billing"),
    warn(
        "low",
        "the balance is low",
        "calls stop when it is used up",
        "top up, or switch on auto-recharge, at console.twilio.com, Billing",
    ),
)
async def balance(bench: Bench, tell: Tell) -> None:
    await bench.account()
    found = await bench.carrier.balance()
    if found is None:
        tell.ok("a subaccount: the balance is the parent account's")
        return
    amount, currency = found
    if amount <= 0:
        tell.problem("empty", f"{amount:.2f} {currency}")
    elif amount < _LOW_BALANCE:
        tell.problem("low", f"{amount:.2f} {currency}")
    else:
        tell.ok(f"{amount:.2f} {currency}")


@check(
    "carrier.round_trip",
    "Twilio's API is near",
    "Times eight requests on a warm connection to the chosen edge.",
    warn(
        "slow",
        "the carrier's API is far away",
        "every call starts later by this much",
        "run `shortwire region`: it names the edge that is nearest to this machine",
    ),
    deadline_s=20.0,
)
async def round_trip(bench: Bench, tell: Tell) -> None:
    await bench.account()
    times = []
    for _ in range(bench.plan.tries):
        began = bench.clock.now_ns()
        await bench.carrier.account()
        times.append((bench.clock.now_ns() - began) / 1e6)
    series = Series(tuple(times))
    text = f"{series.p50_ms:.0f} ms median, {series.p95_ms:.0f} ms p95, over {len(times)} requests"
    if series.p50_ms > bench.plan.slow_api_ms:
        effect = f"every call starts later by about {series.p50_ms:.0f} ms"
        tell.problem("slow", text, effect=effect, values=series.as_dict())
    else:
        tell.ok(text, **series.as_dict())


@check(
    "carrier.call_rate",
    "Calls leave at once",
    "Reads how long the newest calls waited in Twilio's queue, and how many are on now. The rate itself cannot be "
    "read; 1 call per second is what an account has at first.",
    warn(
        "queued",
        "calls wait for their turn",
        "dialling starts later than asked for, by up to {ms} ms",
        "place fewer calls per second, or have the account's calls per second raised in the console (Voice, Settings)",
    ),
)
async def call_rate(bench: Bench, tell: Tell) -> None:
    await bench.account()
    calls = await bench.carrier.recent_calls()
    waited = max((call.queue_ms for call in calls), default=0)
    live = sum(call.status in _LIVE for call in calls)
    text = f"{live} on now; of the newest {len(calls)} calls none waited longer than {waited} ms"
    if waited > 1000:
        effect = f"dialling starts later than asked for, by up to {waited} ms"
        tell.problem("queued", text, ms=waited, effect=effect, values={"queue_ms": waited, "live": live})
    else:
        tell.ok(text, queue_ms=waited, live=live)
