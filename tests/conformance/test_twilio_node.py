"""The vendor's own SDK for Node, unchanged, doing its whole job on the emulator.

Needs node and npm; the first run installs the pinned SDK (``npm ci`` in tests/conformance/node_twilio).
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from shortwire.emulators.twilio import OwnedNumber, PartyScript, TwilioConfig, TwilioEmulator

FOLDER = Path(__file__).parent / "node_twilio"
ACCOUNT, TOKEN = "AC" + "7" * 32, "secret-of-the-account"
KEY, KEY_SECRET = "SK" + "8" * 32, "secret-of-the-key"
OURS, THEIRS = "+15005550006", "+14155550123"
PINNED = json.loads((FOLDER / "package.json").read_text())["dependencies"]["twilio"]


class Silent:
    def feed(self, ulaw_frame: bytes) -> bool:
        del ulaw_frame
        return False


@pytest.fixture(scope="module")
def node() -> str:
    """The node program, with the pinned SDK installed."""
    found, npm = shutil.which("node"), shutil.which("npm")
    if found is None or npm is None:
        pytest.skip("node and npm are not installed: the SDK for Node cannot be tried")
    installed = FOLDER / "node_modules" / "twilio" / "package.json"
    if not installed.is_file() or json.loads(installed.read_text())["version"] != PINNED:
        done = subprocess.run([npm, "ci"], cwd=FOLDER, capture_output=True, text=True, timeout=110, check=False)
        if done.returncode != 0:
            pytest.skip(f"npm ci could not install twilio {PINNED}: {done.stderr.strip()[-300:]}")
    return found


async def job(node: str, user: str, password: str) -> dict[str, Any]:
    config = TwilioConfig(
        account_sid=ACCOUNT,
        auth_token=TOKEN,
        api_keys={KEY: KEY_SECRET},
        numbers={OURS: OwnedNumber()},
        scenario=PartyScript(ring_s=0.0),
        calls_per_second=0,
        dial_s=0.0,
        recording_processing_s=0.0,
    )
    async with TwilioEmulator(config, speak=lambda *_: b"", detector=Silent) as twilio:
        plan = {
            "baseUrl": twilio.base_url,
            "account": ACCOUNT,
            "token": TOKEN,
            "user": user,
            "password": password,
            "to": THEIRS,
            "from": OURS,
        }
        process = await asyncio.create_subprocess_exec(
            *(node, "job.js", json.dumps(plan)),
            cwd=FOLDER,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, error = await asyncio.wait_for(process.communicate(), 90)
        assert process.returncode == 0, error.decode()
        assert not twilio.ledger.entries("emulator_error")
        found: dict[str, Any] = json.loads(out)
        return found


@pytest.mark.parametrize(("user", "password"), [(ACCOUNT, TOKEN), (KEY, KEY_SECRET)], ids=["token", "key"])
async def test_the_node_client_does_its_whole_job(node: str, user: str, password: str) -> None:
    found = await job(node, user, password)
    assert found["version"] == PINNED
    # calls and recordings
    assert found["made"] == ["queued", "outbound-api", True]
    assert found["recording"] == ["in-progress", 2, "StartCallRecordingAPI"]
    assert (found["paused"], found["stopped"]) == ("paused", "stopped")
    assert found["media"] == ["RIFF", 2]
    assert (found["recordings"], found["removed"]) == (1, True)
    assert (found["gone"]["status"], found["gone"]["code"]) == (404, 20404)
    assert found["done"] == ["completed", True]
    assert (found["over"]["status"], found["over"]["code"]) == (400, 21220)
    assert (found["listed"], found["completed"], found["recent"], found["old"]) == (4, 1, 4, 0), "paging included"
    assert found["deleted"] is True
    # errors
    assert {name: (found[name]["status"], found[name]["code"]) for name in ("notOwned", "badTimeout", "unknown")} == {
        "notOwned": (400, 21210),
        "badTimeout": (400, 21200),
        "unknown": (404, 20404),
    }
    assert "is not yet verified" in found["notOwned"]["message"]
    assert (found["stranger"]["status"], found["stranger"]["code"]) == (401, 20003)
    # signatures of bodies and of the upgrade
    right = [ok for path, ok in found["verdicts"] if not path.endswith("wrong token")]
    wrong = [ok for path, ok in found["verdicts"] if path.endswith("wrong token")]
    assert {path for path, _ in found["verdicts"]} >= {"/voice", "/status", "/media"}
    assert all(right)
    assert len(right) == 6
    assert not any(wrong)
    assert found["notes"] == ["31920"], "the judge refused the upgrade with 403"
    assert found["events"] == ["POST"] * 5
