"""One run: a fresh server, a fresh agent, fresh phones; what they counted, and what it cost.

The runner sleeps while it is measured; it wakes to read `/proc` at the window's two ends.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..clock import SystemClock
from .load import Costs, Load, Measured, evaluate
from .machine import Cores, Usage, busy_ns, usage
from .processes import BenchError, Process, free_port, started
from .subject import Subject

__all__ = ["Bench", "Standing", "measure"]

PUBLIC_HOST = "bench.example.test"
OUR_NUMBER = "+15005550006"
_START_S = 40.0
_SLACK_S = 90.0
_TRUSTED = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
"""Where Python, its older libraries and Node look for an authority of our own."""

Say = Callable[[str], None]


@dataclass(slots=True)
class Standing:
    """A server and its agent, up; the phones not yet."""

    subject: Subject
    load: Load
    server: Process
    agent: Process
    host: Process
    """Who answers what the vendors are asked, at `host_port`: the agent, if nothing else is to go on."""
    host_port: int
    port: int
    api_key: str
    account_sid: str
    auth_token: str
    log: Path
    idle: Usage | None = None
    """Before the first call."""
    heard: list[dict[str, Any]] = field(default_factory=list)
    """What the phones said beside the course of the run."""

    def phones_config(self) -> dict[str, Any]:
        return {
            **self.load.config(),
            "server_port": self.port,
            "public_host": PUBLIC_HOST,
            "voice_path": "/incoming-call",
            "account_sid": self.account_sid,
            "auth_token": self.auth_token,
            "our_number": OUR_NUMBER,
            "first_number": 1,  # the call to warm up was number 1
        }

    async def api(self, path: str) -> Any:
        """GET from the server's API."""
        import json

        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", headers={"Authorization": f"Bearer {self.api_key}"}
        )

        def get() -> Any:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310 - as above
                return json.load(answer)

        return await asyncio.to_thread(get)


During = Callable[[Standing, Process], Awaitable[None]]
"""Something that goes on in the window; it is cancelled at its end."""


@dataclass(slots=True)
class Bench:
    """The cores, a folder for logs, and somebody to tell."""

    cores: Cores
    folder: Path
    say: Say = lambda _text: None
    steps_back: bool = True
    """Who makes work beside the load does so only while nobody else wants its core."""
    runs: int = field(default=0, init=False)

    @asynccontextmanager
    async def stand(self, subject: Subject, load: Load, *, beside: bool = False) -> AsyncIterator[Standing]:
        """Server and agent for the time of the block. Raises `BenchError` when they do not come up.

        `beside`: other work is to go on. What is asked of the vendors is answered by a process that steps back, and
        that can be an agent too (`Standing.host`).
        """
        if subject.missing:
            raise BenchError(subject.missing)
        self.runs += 1
        folder = Path(tempfile.mkdtemp(prefix=f"{self.runs:03}-", dir=self.folder))
        async with AsyncExitStack() as exits:
            config: dict[str, Any] = load.config()
            certificate: dict[str, str] = {}
            if load.tls:
                config["tls"] = _certificate(folder)
                certificate = dict.fromkeys(_TRUSTED, config["tls"]["ca"])
            agent, agent_port = await exits.enter_async_context(self.agent(config, folder / "agent.log"))
            host, host_port = agent, agent_port
            if beside:
                host, host_port = await exits.enter_async_context(
                    self.agent({**config, "steps_back": self.steps_back}, folder / "host.log")
                )
                host.ask({"sign_for": agent_port})
            port, key, token = free_port(), secrets.token_urlsafe(24), secrets.token_hex(16)
            account = "AC" + secrets.token_hex(16)
            environment = subject.environment(
                {
                    "PORT": str(port),
                    "ELEVENLABS_BASE_URL": f"{'https' if load.tls else 'http'}://{load.agent_host}:{host_port}",
                    "ELEVENLABS_API_KEY": "bench",
                    "ELEVENLABS_AGENT_ID": "agent_bench",
                    "TWILIO_ACCOUNT_SID": account,
                    "TWILIO_AUTH_TOKEN": token,
                    "TWILIO_PHONE_NUMBER": OUR_NUMBER,
                    "TWILIO_API_BASE_URL": f"http://127.0.0.1:{host_port}",
                    "SERVER_URL": f"https://{PUBLIC_HOST}",
                    "ALLOWED_COUNTRIES": "US",
                    "SHORTWIRE_API_KEY": key,
                    "SHORTWIRE_PORT": str(port),
                    "SHORTWIRE_DATA_DIR": str(folder / "data"),
                    "MAX_CALL_SECONDS": "7200",
                    **certificate,
                }
            )
            log = folder / "server.log"
            server = await exits.enter_async_context(
                started(
                    subject.name,
                    subject.command,
                    cores=self.cores.server,
                    environment=environment,
                    folder=subject.folder or folder,
                    log=log,
                )
            )
            await _answers(server, port)
            # The first call pays for what is imported and made once.
            short = Load(calls=1, seconds=0.5, warmup_s=0.3)
            standing = Standing(subject, short, server, agent, host, host_port, port, key, account, token, log)
            await self._warm(standing)
            yield replace(standing, load=load, idle=usage(server.pid))

    async def _warm(self, standing: Standing) -> None:
        config = {**standing.phones_config(), "calls": 1, "call_s": 0.0, "first_number": 0}
        async with self.phones(standing, config) as phones:
            report = (await phones.answer("report", _START_S))["report"]
        standing.agent.ask({"reset": True})
        if report["failed"]:
            raise BenchError(f"the call to warm up: {report['failed'][0]}; {standing.server.last_words()[-300:]}")

    @asynccontextmanager
    async def agent(self, config: Mapping[str, Any], log: Path) -> AsyncIterator[tuple[Process, int]]:
        """With its port."""
        command = [sys.executable, "-m", "shortwire.bench.agent"]
        async with started("the agent", command, cores=self.cores.agent, log=log, first=config) as agent:
            yield agent, (await agent.answer("port", _START_S))["port"]

    @asynccontextmanager
    async def phones(self, standing: Standing, config: Mapping[str, Any]) -> AsyncIterator[Process]:
        async with started(
            "the phones",
            [sys.executable, "-m", "shortwire.bench.phones"],
            cores=self.cores.phones,
            log=standing.log.with_name("phones.log"),
            first=config,
        ) as phones:
            yield phones

    async def load(
        self, standing: Standing, during: During | None = None, *, beside: bool = False
    ) -> tuple[Measured, dict[str, Any], dict[str, Any]]:
        """Run the load against a standing server; the result, and both reports. Raises `BenchError`.

        `beside`: `during` begins with the warm-up, so that what it takes to begin is not in the window.
        """
        load = standing.load
        limit_s = load.calls / load.ramp + load.warmup_s + load.seconds + _SLACK_S
        async with self.phones(standing, standing.phones_config()) as phones:
            costs, opened, report = None, 0, {}
            try:
                async with asyncio.timeout(limit_s):
                    async for said in phones.answers():
                        if "progress" in said:
                            continue
                        if "window" in said:
                            opened = said["open"]
                            standing.agent.ask({"window": said["window"]})
                            costs = asyncio.create_task(self._costs(standing, phones, said["window"], during, beside))
                        elif "quiet" in said:
                            standing.agent.ask({"quiet": True})
                        elif "report" in said:
                            report = said["report"]
                            break
                        else:
                            standing.heard.append(said)
            except TimeoutError:
                raise BenchError(f"the run did not end within {limit_s:.0f} s") from None
            if not report or costs is None:
                raise BenchError(f"the phones ended early: {phones.last_words()}")
            spent = await costs
            agent = await _agent_report(standing.agent)
        if not standing.server.alive:
            raise BenchError(f"the server ended in the middle: {standing.server.last_words()[-300:]}")
        return evaluate(standing.subject.name, load, report, agent, costs=spent, window_open=opened), report, agent

    async def _costs(
        self, standing: Standing, phones: Process, window: list[int], during: During | None, beside: bool
    ) -> Costs:
        """What everybody used between the window's ends; meanwhile, what is to go on."""
        begin_ns, end_ns = window
        going: asyncio.Task[None] | None = None
        if during is not None and beside:
            going = asyncio.create_task(_going(during, standing, phones))
        load = (phones.pid, standing.agent.pid)
        ours = (os.getpid(),)  # and all our children: also those that make work beside
        await _until(begin_ns)
        begin, busy, mine, generated = usage(standing.server.pid), busy_ns(), _cpu(ours), _cpu(load)
        if during is not None and going is None:
            going = asyncio.create_task(_going(during, standing, phones))
        began_ns = SystemClock.now_ns()
        await _until(end_ns)
        end, busy_after, mine_after, generated_after = usage(standing.server.pid), busy_ns(), _cpu(ours), _cpu(load)
        window_ns = SystemClock.now_ns() - began_ns
        if going is not None:
            going.cancel()
            results = await asyncio.gather(going, return_exceptions=True)
            if isinstance(results[0], Exception):
                raise results[0]
        return Costs(
            standing.idle,
            begin,
            end,
            generated_after - generated,
            mine_after - mine,
            None if busy is None or busy_after is None else busy_after - busy,
            window_ns,
            os.cpu_count() or 1,
        )


async def measure(
    bench: Bench, subject: Subject, load: Load, during: During | None = None, *, beside: bool = False
) -> Measured:
    """One run from nothing to nothing; `beside` as for `Bench`. What goes wrong becomes the row's problem."""
    try:
        async with bench.stand(subject, load, beside=beside) as standing:
            found, _, _ = await bench.load(standing, during, beside=beside)
            return found
    except (BenchError, OSError) as error:
        failed = Measured(subject.name, load.calls, load.mode)
        failed.problems.append(str(error))
        return failed


async def _agent_report(agent: Process) -> dict[str, Any]:
    """Once its sockets are closed, or have had three seconds to be."""
    for _ in range(15):
        agent.ask({"report": True})
        report: dict[str, Any] = (await agent.answer("report", _START_S))["report"]
        if not report["open"]:
            break
        await asyncio.sleep(0.2)
    return report


async def _going(during: During, standing: Standing, phones: Process) -> None:
    await during(standing, phones)


def _cpu(pids: Sequence[int]) -> int:
    """What these and their children have used so far, ns."""
    return sum(found.cpu_ns for pid in pids if (found := usage(pid)) is not None)


async def _until(instant_ns: int) -> None:
    await asyncio.sleep(max(0.0, (instant_ns - SystemClock.now_ns()) / 1e9))


async def _answers(server: Process, port: int) -> None:
    """Until the port listens and, where there is such a route, the server says it is ready."""
    deadline = asyncio.get_running_loop().time() + _START_S

    def ready() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            return error.code == 404  # a peer knows no such route
        except OSError:
            return False

    while not await asyncio.to_thread(ready):
        if not server.alive or asyncio.get_running_loop().time() > deadline:
            raise BenchError(f"{server.name} did not start: {server.last_words()[-600:]}")
        await asyncio.sleep(0.05)


def _certificate(folder: Path) -> dict[str, str]:
    """A certificate for this machine's loopback, and the authority to trust."""
    try:
        import trustme
    except ImportError:
        raise BenchError("--tls needs trustme: run  pip install 'shortwire[emulators]'") from None
    authority = trustme.CA()
    made = authority.issue_cert("localhost", "127.0.0.1")
    files = {name: folder / f"{name}.pem" for name in ("ca", "cert", "key")}
    authority.cert_pem.write_to_path(files["ca"])
    made.cert_chain_pems[0].write_to_path(files["cert"])
    made.private_key_pem.write_to_path(files["key"])
    return {name: str(path) for name, path in files.items()}
