#!/usr/bin/env python3
"""A cluster of 3, 10, 30 and 100 servers on one machine, 2,000 callsites each: what a question costs, and what grows.

Every server is a process of its own on 127.0.0.K, over a ledger that a real program left; all of them share the machine's
processors, so latencies beyond a few servers are those of that many processes on them, not of as many hosts; what the asked
server and each of the others takes of a processor is the same there. Needs gcc and the drivers that test.sh installs.
Prints CSV, a line per number of servers and query: milliseconds, processor time in milliseconds of the asked server and of
each other, bytes that the asked server received (EXPLAIN ANALYZE), its memory (RSS less what files back), and how often a server was too late for an answer, which said so.

    target/test-venv/bin/python benches/cluster/run.py target/release/heapql [3 10 ..] > benches/cluster/results.csv
"""
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import psycopg

HERE = os.path.dirname(os.path.abspath(__file__))
STACKS = os.path.join(HERE, "..", "query", "stacks.c")
CALLSITES = 2_000
REPETITIONS = {3: 60, 10: 40, 30: 20, 100: 10}
QUERIES = {
    "seed": "SELECT * FROM __all_virtual_malloc_sample_info WHERE mod_name='glibc_malloc' "
    "ORDER BY alloc_bytes DESC LIMIT 10",
    "one server": "SELECT * FROM __all_virtual_malloc_sample_info WHERE mod_name='glibc_malloc' "
    "AND svr_ip='127.0.0.2' ORDER BY alloc_bytes DESC LIMIT 10",
    "aggregate": "SELECT mod_name, count(*), sum(alloc_bytes), avg(alloc_count) FROM __all_virtual_malloc_sample_info "
    "GROUP BY mod_name ORDER BY 3 DESC",
    "group by stack": "SELECT back_trace, count(*), sum(alloc_bytes) FROM __all_virtual_malloc_sample_info "
    "WHERE mod_name='glibc_malloc' GROUP BY back_trace ORDER BY 3 DESC LIMIT 10",
    "all rows": "SELECT count(*) FROM (SELECT DISTINCT svr_ip, back_trace, alloc_bytes "
    "FROM __all_virtual_malloc_sample_info WHERE mod_name='glibc_malloc') t",
}


def ledger(heapql, work):
    """What a program with 2,000 stacks left."""
    program, folder = os.path.join(work, "stacks"), os.path.join(work, "made")
    subprocess.run(["gcc", "-O2", "-g", "-fno-optimize-sibling-calls", STACKS, "-o", program], check=True)
    os.mkdir(folder, 0o700)
    environment = {**os.environ, "HEAPQL_DIR": folder, "HEAPQL_MIN": "1", "HEAPQL_MAX": "1"}
    printed = subprocess.run([heapql, "env"], env=environment, check=True, capture_output=True, text=True).stdout
    environment["LD_PRELOAD"] = re.search(r"LD_PRELOAD=(\S+)", printed).group(1)
    recorded = subprocess.Popen([program, str(CALLSITES)], stdout=subprocess.PIPE, env=environment)
    assert recorded.stdout.readline() == b"ready\n"
    recorded.kill()
    recorded.wait()
    (made,) = [name for name in os.listdir(folder) if name.endswith(".heapql")]
    return os.path.join(folder, made)


class Server:
    def __init__(self, heapql, work, number, peer, left):
        self.home = os.path.join(work, f"server{number}")
        folders = [os.path.join(self.home, name) for name in ("ledgers", "data")]
        for folder in folders:
            os.makedirs(folder, 0o700)
        # Sparse, as it was made: nearly all of it is a hole.
        subprocess.run(["cp", "--sparse=always", left, folders[0]], check=True)
        self.endpoints = os.path.join(self.home, "endpoints")
        command = [heapql, "serve", "--mysql", "off", "--http", "off", "--postgres", f"127.0.0.{number}:0"]
        command += ["--cluster", f"127.0.0.{number}:0", "--endpoints", self.endpoints]
        command += ["--dir", folders[0], "--data-dir", folders[1], *(["--peer", peer] if peer else [])]
        self.process = subprocess.Popen(command, stderr=open(os.path.join(self.home, "log"), "w"))

    def wait(self):
        while not os.path.exists(self.endpoints):
            assert self.process.poll() is None, open(os.path.join(self.home, "log")).read()
            time.sleep(0.05)
        with open(self.endpoints) as file:
            where = json.load(file)
        self.cluster, (self.host, port) = where["cluster"], where["postgres"].rsplit(":", 1)
        self.port = int(port)
        return self

    def connect(self):
        return psycopg.connect(host=self.host, port=self.port, user="root", dbname="oceanbase", autocommit=True)

    def own_memory(self):
        """MiB that no file backs."""
        with open(f"/proc/{self.process.pid}/status") as file:
            status = dict(line.split(":", 1) for line in file)
        return int(status["RssAnon"].split()[0]) / 1024

    def processor_seconds(self):
        with open(f"/proc/{self.process.pid}/stat") as file:
            fields = file.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settled(servers):
    """Every server knows all. The first is waited for, since the others learn of all from it."""
    started = time.time()
    for server in servers:
        with server.connect() as client:
            while True:
                sql = "SELECT count(*) FROM servers WHERE status = 'ACTIVE'"
                if client.execute(sql).fetchone()[0] == len(servers):
                    break
                assert time.time() - started < 600, "they do not all find each other"
                time.sleep(0.2)


def idle(servers):
    """Hundredths of one processor that a server takes when nobody asks."""
    seconds = 10
    before = sum(server.processor_seconds() for server in servers)
    time.sleep(seconds)
    return 100 * (sum(server.processor_seconds() for server in servers) - before) / seconds / len(servers)


def received(client, sql):
    plan = "\n".join(str(cell) for row in client.execute("EXPLAIN ANALYZE " + sql).fetchall() for cell in row)
    scale = {"": 1, "K": 1e3, "M": 1e6, "B": 1e9}
    found = re.findall(r"bytes_received=([\d.]+)\s*([KMB]?)", plan)
    return int(sum(float(number) * scale[unit] for number, unit in found))


def expect_all(client, count):
    """Every server's rows are there, once none is missing for being slow."""
    sql = "SELECT count(*) FROM __all_virtual_malloc_sample_info WHERE mod_name='glibc_malloc'"
    for _ in range(60):
        rows = client.execute(sql).fetchone()[0]
        if rows >= count * CALLSITES:
            return
        time.sleep(1)
    raise AssertionError(f"{rows} rows of {count} servers")


def timed(client, sql):
    start = time.perf_counter()
    client.execute(sql).fetchall()
    return (time.perf_counter() - start) * 1000


def measure(heapql, count):
    work = tempfile.mkdtemp(prefix="heapql-cluster-", dir="/dev/shm")
    servers = []
    try:
        left = ledger(heapql, work)
        servers.append(Server(heapql, work, 1, None, left).wait())
        for number in range(2, count + 1):
            servers.append(Server(heapql, work, number, servers[0].cluster, left))
            # A few at a time: they share the processors.
            if number % 5 == 0:
                servers[-1].wait()
        for server in servers[1:]:
            server.wait()
        started = time.time()
        settled(servers)
        joined = time.time() - started
        quiet = idle(servers)
        asked, client = servers[0], servers[0].connect()
        # Whoever is slow, because so many share two processors, is not missing.
        client.execute("ALTER SYSTEM SET _cluster_timeout = 60000")
        before = asked.own_memory()
        text = f"knew each other {joined:.1f} s after the last was started; idle: {quiet:.2f} % of a processor each"
        print(f"# {count} servers: {text}; {len(os.listdir(f'/proc/{asked.process.pid}/fd'))} descriptors", flush=True)
        lacking = []
        client.add_notice_handler(lambda notice: lacking.append(notice.message_primary))
        expect_all(client, count)
        lacking.clear()
        for name, sql in QUERIES.items():
            repetitions = REPETITIONS.get(count, 20)
            own, all_others = asked.processor_seconds(), sum(server.processor_seconds() for server in servers[1:])
            times = sorted(timed(client, sql) for _ in range(repetitions))
            own = (asked.processor_seconds() - own) * 1000 / repetitions
            all_others = sum(server.processor_seconds() for server in servers[1:]) - all_others
            each = all_others * 1000 / repetitions / (count - 1)
            p50, p99 = statistics.median(times), times[int((len(times) - 1) * 0.99)]
            numbers = [f"{number:.1f}" for number in (p50, p99, own, each)]
            memory = [f"{number:.0f}" for number in (before, asked.own_memory())]
            print(count, name, *numbers, received(client, sql), *memory, len(lacking), sep=",", flush=True)
            lacking.clear()
    finally:
        for server in servers:
            server.process.kill()
        for server in servers:
            server.process.wait()
        shutil.rmtree(work)


def main():
    heapql = os.path.abspath(sys.argv[1])
    print("servers,query,p50_ms,p99_ms,asked_cpu_ms,other_cpu_ms,bytes_received,memory_before_mib,memory_after_mib,servers_missed")
    for count in [int(count) for count in sys.argv[2:]] or [3, 10, 30, 100]:
        measure(heapql, count)


if __name__ == "__main__":
    main()
