"""Label scopes in Python as they should not be used, and as they nest. Holds buffers of 3000 bytes; the test knows how many
belong where. The same without HeapQL: bad arguments are refused everywhere."""
import asyncio
import sys

import heapql

held = []


def hold(count):
    held.extend(bytearray(2999) for _ in range(count))


def refused(error, function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except error:
        hold(1)
        return
    raise AssertionError((function, args, kwargs))


def generator():
    yield


async def waiting():
    await asyncio.sleep(0)


async def failing():
    with heapql.scope("inner", tenant=1002):
        await asyncio.sleep(0)
        raise KeyError


async def outer():
    """What a coroutine does about a label ends with its step, however the step ends."""
    hold(1)
    try:
        await heapql.scoped(failing(), "failing", tenant=1003)
    except KeyError:
        hold(1)
    task = asyncio.create_task(heapql.scoped(asyncio.sleep(3600), "cancelled", tenant=1003))
    await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        hold(1)
    assert await heapql.scoped(asyncio.sleep(0, "result"), "result") == "result"
    heapql.scoped(waiting(), "never awaited").close()
    hold(1)


refused(ValueError, heapql.scope, "a", tenant=0)
refused(ValueError, heapql.scope, "a", tenant=2**63)
refused(ValueError, heapql.scope, "a", ctx=-1)
refused(TypeError, heapql.scope, None)
refused(TypeError, heapql.scope("a"), generator)
refused(TypeError, heapql.scoped, waiting, "a")
with heapql.scope(b"\xc3\xbcml\xffut and more than fits", tenant=1001) as entered:
    pass
with heapql.scope(b"\xc3\xbcml\xffut", tenant=1001) as entered:
    try:
        entered.__enter__()
    except RuntimeError:
        hold(2)
asyncio.run(heapql.scoped(outer(), "outer", tenant=1001))
print("ready", flush=True)
sys.stdin.readline()
