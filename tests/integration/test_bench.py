"""The benchmark measures a real server and tells a good bridge from a bad one. No figure is judged, only counts."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import sys
from pathlib import Path

import pytest

from shortwire.bench import beside
from shortwire.bench.beside import chosen_kinds
from shortwire.bench.load import Load
from shortwire.bench.machine import Cores, tree
from shortwire.bench.processes import Process
from shortwire.bench.run import Bench, Standing, measure
from shortwire.bench.slow import slow
from shortwire.bench.soak import soak
from shortwire.bench.subject import Subject, find_peers, shortwire

PEERS = Path(__file__).parents[2] / "benchmarks" / "peers"
SHORT = Load(calls=2, seconds=0.6, warmup_s=0.2)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the benchmark needs epoll or kqueue")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(Cores(), tmp_path)


@pytest.mark.parametrize("profile", ["optimized", "baseline"])
async def test_each_profile_relays_everything(bench: Bench, profile: str) -> None:
    found = await measure(bench, shortwire(profile, SHORTWIRE_PROFILE=profile), SHORT)
    assert found.problems == []
    assert (found.lost, found.disordered, found.damaged) == (0, 0, 0)
    assert found.relayed > 0
    assert found.up_p99_us is not None and found.down_p99_us is not None
    assert found.up_p50_us is not None and 0 < found.up_p50_us <= found.up_p99_us
    assert found.answer_ms is not None
    if sys.platform.startswith("linux"):
        assert found.cpu_us is not None and found.cpu_us > 0


async def test_talk_with_barge_in_over_tls(bench: Bench) -> None:
    pytest.importorskip("trustme")
    load = Load(calls=2, seconds=5.5, warmup_s=0.2, mode="talk", chunk_ms=250, tls=True)
    found = await measure(bench, shortwire("optimized"), load)
    assert found.problems == []
    assert found.clear_p50_us is not None
    assert found.down_p50_us is not None


async def test_the_python_peer_is_a_bridge(bench: Bench) -> None:
    (peer,) = find_peers(PEERS, ("fastapi_websockets",))
    found = await measure(bench, peer, SHORT)
    assert found.problems == []
    assert found.relayed > 0


async def test_the_node_peer_is_a_bridge(bench: Bench) -> None:
    (peer,) = find_peers(PEERS, ("node_ws",))
    if peer.missing:
        pytest.skip(peer.missing)
    found = await measure(bench, peer, SHORT)
    assert found.problems == []
    assert found.relayed > 0


SPOILS = """
import asyncio, json, os, sys
sys.path.insert(0, os.environ["PEER"])
import server, uvicorn
count = 0
async def phone_to_agent(phone, agent):
    global count
    try:
        while True:
            message = json.loads(await phone.receive_text())
            if message["event"] == "stop":
                return
            if message["event"] == "media":
                count += 1
                payload = message["media"]["payload"]
                if os.environ["FAULT"] == "drop" and count % 10 == 0:
                    continue
                if os.environ["FAULT"] == "damage" and count % 10 == 0:
                    payload = payload[:100] + ("B" if payload[100] == "A" else "A") + payload[101:]
                await agent.send(json.dumps({"user_audio_chunk": payload}))
    except Exception:
        return
server.phone_to_agent = phone_to_agent
uvicorn.run(server.app, host="127.0.0.1", port=int(os.environ["PORT"]), log_level="warning")
"""


@pytest.mark.parametrize(("fault", "word"), [("drop", "lost"), ("damage", "damaged")])
async def test_a_bridge_that_spoils_audio_is_found_out(bench: Bench, fault: str, word: str) -> None:
    settings = {"FAULT": fault, "PEER": str(PEERS / "fastapi_websockets")}
    bad = Subject("bad", (sys.executable, "-c", SPOILS), settings, ours=False)
    found = await measure(bench, bad, SHORT)
    assert any(problem.endswith(word) for problem in found.problems), found.problems


async def test_a_server_that_does_not_start_is_a_row_that_says_so(bench: Bench) -> None:
    found = await measure(bench, shortwire("broken", TWILIO_ACCOUNT_SID="nonsense"), SHORT)
    assert not found.ok
    assert "did not start" in found.problems[0]
    assert "TWILIO_ACCOUNT_SID" in found.problems[0]


async def test_something_can_go_on_beside_the_calls(bench: Bench) -> None:
    asked: list[int] = []

    async def during(standing: Standing, _phones: Process) -> None:
        while True:
            asked.append((await standing.api("/v1/health"))["calls"])
            await asyncio.sleep(0.05)

    found = await measure(bench, shortwire("optimized"), SHORT, during)
    assert found.problems == []
    assert 2 in asked


@pytest.mark.parametrize("kind", ["calls", "api", "refused"])
async def test_the_work_beside_the_calls_is_really_done(
    bench: Bench, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As any other process, and little enough of it, for a machine that is busy with other tests.
    monkeypatch.setattr(beside, "step_back", lambda: None)
    bench.steps_back = False
    monkeypatch.setattr(beside, "_COMPANY", 1)
    monkeypatch.setattr(beside, "_COMPANY_CALL_S", 0.2)
    (chosen,) = chosen_kinds([kind])
    load = dataclasses.replace(SHORT, seconds=6.0)
    found = await measure(bench, shortwire(kind), load, chosen.during(bench) if chosen.during else None, beside=True)
    assert found.problems == []


@pytest.mark.parametrize(
    ("kind", "word"), [("calls", "0 reached their agent"), ("api", "answered with 401"), ("refused", "answered with 0")]
)
async def test_work_that_is_not_done_makes_no_figure(
    bench: Bench, kind: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.steps_back = False
    (chosen,) = chosen_kinds([kind])
    assert chosen.during is not None
    astray = {"calls": {"port": 1}, "api": {"api_key": "wrong"}, "refused": {"port": 1}}[kind]

    async def during(standing: Standing, phones: Process) -> None:
        assert chosen.during is not None
        await chosen.during(bench)(dataclasses.replace(standing, **astray), phones)

    found = await measure(bench, shortwire(kind), SHORT, during, beside=True)
    assert [problem for problem in found.problems if word in problem], found.problems


async def test_a_soak_comes_back_to_where_it_began(bench: Bench) -> None:
    load = Load(calls=3, seconds=4.0, warmup_s=0.2, call_s=1.0, forget=True, mode="echo")
    found = await soak(bench, shortwire("optimized"), load, lambda _sample: None)
    assert found.problems == []
    assert found.dialled > 3
    assert found.live_after == 0
    assert found.samples
    assert found.asked is not None and found.asked.answered > 1


@pytest.mark.parametrize("side", ["agent", "phone"])
async def test_a_side_that_stops_harms_no_other_call(bench: Bench, side: str) -> None:
    load = Load(calls=3, seconds=4.0, warmup_s=0.2, receive_buffer=8192, phone_receive_buffer=8192)
    found = await slow(bench, shortwire("optimized"), load, side=side, count=1)
    assert len(found.stopped) == 1
    assert found.measured.problems == []
    assert [ending["call"] for ending in found.endings] == found.stopped


def is_alive(pid: int) -> bool:
    """A process that nobody has buried yet counts as dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


async def test_ending_the_benchmark_leaves_nobody_behind(tmp_path: Path) -> None:
    program = "from shortwire.cli import main; main()"
    arguments = ["bench", "--calls", "1", "--rounds", "1", "--seconds", "60", "--profile", "optimized"]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, *arguments, "--peers", "none", "--out", str(tmp_path),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    if not sys.platform.startswith("linux"):
        process.kill()
        pytest.skip("children are counted in /proc")
    family: set[int] = set()
    for _ in range(600):
        family = tree(process.pid) - {process.pid}
        # agent, server and telephones
        if len(family) >= 3:
            break
        await asyncio.sleep(0.05)
    process.terminate()
    assert await process.wait() == 128 + signal.SIGTERM
    assert len(family) >= 3
    # One that was killed in the moment it began is buried by the system, which takes its time.
    for _ in range(200):
        left = [pid for pid in family if is_alive(pid)]
        if not left:
            break
        await asyncio.sleep(0.05)
    assert left == []
