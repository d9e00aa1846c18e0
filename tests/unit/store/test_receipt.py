"""The loop and the writer decide once whether a write still happens."""

from __future__ import annotations

import asyncio
import threading

import pytest

from shortwire.store.receipt import Receipt


async def test_delivery_and_failure():
    good: Receipt[int] = Receipt()
    bad: Receipt[int] = Receipt()
    threading.Timer(0.01, lambda: good.deliver(7)).start()
    threading.Timer(0.01, lambda: bad.fail(ValueError("no"))).start()
    assert await good.wait(60) == 7
    with pytest.raises(ValueError, match="no"):
        await bad.wait(60)


async def test_giving_up_in_time_means_it_is_not_written():
    receipt: Receipt[int] = Receipt()
    with pytest.raises(TimeoutError):
        await receipt.wait(0.01)
    assert receipt.withdrawn
    assert not receipt.claim()
    receipt.deliver(1)  # too late, and no error in the writer
    receipt.fail(ValueError())


async def test_a_commit_under_way_is_waited_for():
    loop = asyncio.get_running_loop()

    class Committed(Receipt[int]):
        """Its commit succeeds right after the first deadline has passed."""

        def withdraw(self) -> bool:
            loop.call_soon(self.deliver, 7)
            return super().withdraw()

    receipt = Committed()
    assert receipt.claim()
    assert await receipt.wait(0.02) == 7
    assert not receipt.withdrawn


async def test_a_commit_that_failed_can_be_given_up():
    receipt: Receipt[int] = Receipt()
    receipt.claim()
    assert not receipt.withdraw()
    receipt.release()
    assert receipt.withdraw()


async def test_a_cancelled_caller_withdraws():
    receipt: Receipt[int] = Receipt()
    task = asyncio.create_task(receipt.wait(60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert receipt.withdrawn
