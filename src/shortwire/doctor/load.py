"""How many calls this machine carries: the listener in a process of its own, and streams that ask it for echoes.

Each stream sends a media message every 20 ms; the server cuts the payload out and sends it back in an agent message,
which is what it does with a frame in a call. The delay is taken on the asking side, which shares the machine, so the
result is a lower bound. ``python -m shortwire.doctor.load`` is the server's side.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from ..clock import NS_PER_MS, NS_PER_S, SystemClock
from ..fast_loop import run_promptly
from ..net.front import Front, FrontOptions
from ..net.probes import Socket
from ..ports import MessageSocket, SocketListener
from ..wire.elevenlabs import USER_AUDIO_HEAD, USER_AUDIO_TAIL
from ..wire.splice import phone_cut

__all__ = ["LoadStep", "load_steps"]

_STREAM = "MZ" + "0" * 32
_PAYLOAD = base64.b64encode(b"\xff" * 160).decode()
_FRAME_S = 0.02


@dataclass(frozen=True, slots=True)
class LoadStep:
    """So many calls at once, and how late frames were."""

    calls: int
    p50_ms: float
    p99_ms: float
    lost: int
    """Frames that did not come back."""


async def load_steps(steps: Sequence[int], *, total_s: float, limit_p99_ms: float, lean: bool = True) -> list[LoadStep]:
    """More calls step by step until the p99 exceeds the limit or the time is up. Raises `OSError`."""
    found: list[LoadStep] = []
    now_ns = SystemClock.now_ns
    step_s = max(0.3, total_s / (len(steps) + 1))
    async with _server(lean) as url:
        ends = now_ns() + int(total_s * NS_PER_S)
        for calls in steps:
            if now_ns() + int(step_s * NS_PER_S) > ends:
                break
            found.append(await _step(url, calls, step_s))
            if found[-1].p99_ms > limit_p99_ms or found[-1].lost:
                break
    return found


async def _step(url: str, calls: int, seconds: float) -> LoadStep:
    delays: list[float] = []
    frames = max(5, int(seconds / _FRAME_S) - 10)
    answers = await asyncio.gather(*(_stream(url, index, calls, frames, delays) for index in range(calls)))
    delays.sort()
    if not delays:
        return LoadStep(calls, float("inf"), float("inf"), sum(answers))
    return LoadStep(
        calls, delays[len(delays) // 2], delays[min(len(delays) - 1, int(len(delays) * 0.99))], sum(answers)
    )


async def _stream(url: str, index: int, calls: int, frames: int, delays: list[float]) -> int:
    """One stream; how many of its frames were lost."""
    now_ns = SystemClock.now_ns
    sent: list[int] = []
    came = 0
    try:
        await asyncio.sleep(_FRAME_S * index / calls)
        async with Socket(url, deadline_s=10.0) as socket:
            if not socket.open:
                return frames

            async def receive() -> None:
                nonlocal came
                while came < frames:
                    await socket.receive(5.0)
                    delays.append((now_ns() - sent[came]) / NS_PER_MS)
                    came += 1

            receiving = asyncio.create_task(receive())
            due = now_ns()
            try:
                for number in range(frames):
                    sent.append(now_ns())
                    await socket.send(_media(number))
                    due += int(_FRAME_S * NS_PER_S)
                    await asyncio.sleep(max(0.0, (due - now_ns()) / NS_PER_S))
                await receiving
            finally:
                receiving.cancel()
                await asyncio.gather(receiving, return_exceptions=True)
    except (OSError, TimeoutError):
        return frames - came
    return frames - came


def _media(number: int) -> str:
    """A frame as Twilio sends it (twilio.md 1.1), in the order of keys of the captures."""
    return (
        f'{{"event":"media","sequenceNumber":"{number + 2}","media":{{"track":"inbound","chunk":"{number + 1}",'
        f'"timestamp":"{number * 20}","payload":"{_PAYLOAD}"}},"streamSid":"{_STREAM}"}}'
    )


@asynccontextmanager
async def _server(lean: bool) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "shortwire.doctor.load",
        "lean" if lean else "stock",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        async with asyncio.timeout(30):
            line = await process.stdout.readline()
        if not line.strip().isdigit():
            raise OSError("the load test's server did not start")
        yield f"ws://127.0.0.1:{int(line)}/load"
    finally:
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await process.wait()
        if process.returncode is None:
            process.kill()
            await process.wait()


class _Cutter:
    """A listener that does with each frame what a call does with it."""

    def __init__(self) -> None:
        self._cut = phone_cut(_STREAM)
        self._socket: MessageSocket | None = None

    def opened(self, socket: MessageSocket) -> None:
        self._socket = socket

    def media(self, data: bytes, read_ns: int) -> bool | None:
        del data, read_ns
        return None

    def message(self, data: bytes, read_ns: int) -> bool:
        del read_ns
        payload = self._cut(data)
        if payload is not None and self._socket is not None:
            self._socket.send(USER_AUDIO_HEAD + payload + USER_AUDIO_TAIL)
        return payload is not None

    def other(self, data: bytes, read_ns: int) -> bool:
        return self.message(data, read_ns)

    def relayed(self, read_ns: int, written_ns: int) -> None: ...

    def binary(self) -> None: ...

    def paused(self, paused: bool) -> None: ...

    def closed(self, code: int, reason: str) -> None: ...


async def _serve(lean: bool) -> int:
    def admit(path: str, signature: str) -> SocketListener | None:
        del path, signature
        return _Cutter()

    async def nothing(scope: object, receive: object, send: object) -> None:
        del scope, receive, send

    front = Front(nothing, admit, FrontOptions(port=0, lean=lean))
    await front.start()
    sys.stdout.write(f"{front.port}\n")
    sys.stdout.flush()
    # Ends with its input, so that it cannot outlive whoever asked.
    await asyncio.to_thread(sys.stdin.read)
    await front.stop()
    return 0


def main() -> int:
    lean = sys.argv[1:] != ["stock"]
    return run_promptly(_serve(lean))


if __name__ == "__main__":
    sys.exit(main())
