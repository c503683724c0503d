#!/usr/bin/env python3
"""Latency of the seed's SELECT over both protocols, at 1,000 and 100,000 distinct stacks.

Needs gcc and the drivers that test.sh installs. Prints CSV: median and worst of the repetitions, in milliseconds.

    target/test-venv/bin/python benches/query/run.py target/release/heapql
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import psycopg
import pymysql

HERE = os.path.dirname(os.path.abspath(__file__))
SELECT = (
    "SELECT * FROM __all_virtual_malloc_sample_info WHERE mod_name='glibc_malloc' ORDER BY alloc_bytes DESC limit 10"
)
REPETITIONS = 21


def timed(cursor, sql):
    times = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        cursor.execute(sql)
        rows = cursor.fetchall()
        times.append((time.perf_counter() - start) * 1000)
        assert len(rows) == 10, rows
    return times


def measure(heapql, program, stacks):
    work = tempfile.mkdtemp()
    endpoints = os.path.join(work, "endpoints")
    flags = ["--quiet", "--min", "1", "--max", "1", "--mysql", "127.0.0.1:0", "--postgres", "127.0.0.1:0"]
    command = [heapql, "run", *flags, "--endpoints", endpoints, "--", program, str(stacks)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, "HEAPQL_DIR": work})
    try:
        assert server.stdout.readline() == b"ready\n"
        with open(endpoints) as file:
            where = json.load(file)
        (my_host, my_port), (pg_host, pg_port) = (where[name].rsplit(":", 1) for name in ("mysql", "postgres"))
        mysql = pymysql.connect(host=my_host, port=int(my_port), user="root@sys", database="oceanbase")
        postgres = psycopg.connect(host=pg_host, port=int(pg_port), user="root", dbname="oceanbase", autocommit=True)
        for name, connection in [("mysql", mysql), ("postgres", postgres)]:
            times = timed(connection.cursor(), SELECT)
            print(f"{stacks},{name},{statistics.median(times):.1f},{max(times):.1f}", flush=True)
    finally:
        server.terminate()
        server.wait()


def main():
    heapql = os.path.abspath(sys.argv[1])
    program = os.path.join(tempfile.mkdtemp(), "stacks")
    subprocess.run(["gcc", "-O2", "-g", "-fno-optimize-sibling-calls", os.path.join(HERE, "stacks.c"), "-o", program], check=True)
    print("stacks,protocol,median_ms,worst_ms")
    for stacks in (1_000, 100_000):
        measure(heapql, program, stacks)


if __name__ == "__main__":
    main()
