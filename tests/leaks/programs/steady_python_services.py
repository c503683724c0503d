# steady: CPython; connections that come and go over asyncio, threads that do, and a database in memory
import asyncio
import random
import sqlite3
import threading
import time


async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line.upper())
        await writer.drain()
    writer.close()


async def connect(port):
    while True:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for number in range(random.randrange(1, 30)):
            writer.write(b"hello %d\n" % number)
            await writer.drain()
            await reader.readline()
            await asyncio.sleep(random.random() * 0.2)
        writer.close()


def work():
    held = [bytearray(random.randrange(1, 5000)) for _ in range(100)]
    time.sleep(random.random() * 4)
    held.clear()


async def query(database):
    while True:
        row = (random.randrange(2000), "v" * random.randrange(100))
        database.execute("insert or replace into pages values (?, ?)", row)
        database.execute("select count(*) from pages where text > 'vvv'").fetchall()
        threading.Thread(target=work).start()
        await asyncio.sleep(0.1)


async def main():
    database = sqlite3.connect(":memory:")
    database.execute("create table pages (id integer primary key, text text)")
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    await asyncio.gather(query(database), *[connect(port) for _ in range(10)])


asyncio.run(main())
