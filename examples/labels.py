#!/usr/bin/env python3
"""Labels in Python: blocks, functions, threads, and coroutines that interleave on one thread.

Runs with HeapQL and without; the tests run it and ask for its rows.

    PYTHONPATH=python heapql run --keep -- python3 examples/labels.py
"""
import asyncio
import sys
import threading

import heapql

BYTES = 3000
held = []


def hold(count):
    # A bytearray's buffer is a malloc of one byte more than its length.
    held.extend(bytearray(BYTES - 1) for _ in range(count))


@heapql.scope("report", tenant=1001)
def report():
    hold(20)


async def request(turns):
    for _ in range(turns):
        hold(1)
        await asyncio.sleep(0)


@heapql.scope("background", tenant=1003)
async def background():
    await request(30)


async def session():
    """A `with` block around an await: right because of the task factory."""
    hold(1)
    with heapql.scope("session", tenant=1004):
        await request(50)
    hold(1)


async def serve():
    asyncio.get_running_loop().set_task_factory(heapql.task_factory)
    shops = (heapql.scoped(request(40), f"shop{n}", tenant=2000 + n) for n in range(3))
    await asyncio.gather(*shops, background(), session(), session(), request(7))


def main():
    hold(5)
    with heapql.scope("cache", tenant=1001, ctx=12):
        hold(10)
        report()
        hold(10)
    threads = [threading.Thread(target=report) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(serve())
    print("ready", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
