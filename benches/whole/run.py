#!/usr/bin/env python3
"""Whole programs, plain and recorded, side by side: ratios of instructions, CPU time and peak memory.

Instructions are user instructions of all processes of the run, under cachegrind (no noise; but one thread at a time, no
kernel, no cache misses). CPU time is user and system time; peak memory is the largest resident set of the same runs. Both are
medians over rounds in which every variant runs once, each compared with the plain run of its round. The rows go to
results.csv, where they replace those of the same measurement; report.py makes docs/reference/overhead.md's tables and picture of it.

    benches/whole/run.py target/debug/heapql            everything, about 40 minutes
    benches/whole/run.py target/debug/heapql --part instructions --only slots,python --quick

Takes a heapql binary or the preload library itself. Needs Debian's gcc, g++, valgrind, perl, ruby, sqlite3 and
redis-server; a peer that is missing is left out, and said.
"""
import argparse
import csv
import datetime
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile

from variants import DEFAULT, FULL, GLIBC, OURS, PEERS, PLAIN, Runs, interval
from workloads import HERE, ROOT, build, versions, workloads

RESULTS = os.path.join(HERE, "results.csv")
COLUMNS = ["workload", "variant", "metric", "value", "n", "spread"]
# Fewer samples say nothing about the cost of one.
FEWEST = 100
PARTS = {
    "instructions": ["instructions", "samples", "per_sample", "allocations", "mean_bytes", "interval_bytes"],
    "clock": ["cpu_time", "peak_rss", "per_thread"],
}


def preload(given, work):
    """The library itself, or the one that `heapql env` unpacks."""
    if given.endswith(".so"):
        return os.path.abspath(given)
    command = [os.path.abspath(given), "env"]
    text = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, "HEAPQL_DIR": work})
    return re.search(r"LD_PRELOAD='?([^'\n;]+)", text.stdout).group(1)


def run(command, env, drive, what, **streams):
    """Runs to the end, which must be a good one."""
    process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **streams)
    try:
        if drive:
            drive(what)
    except BaseException:
        process.kill()
        raise
    if process.wait() != 0:
        raise subprocess.CalledProcessError(process.returncode, command)


def instructions(workload, variant, env):
    tool = ["valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null", "--trace-children=yes"]
    with tempfile.TemporaryFile() as said:
        run(tool + workload.command("counted", variant), env, workload.drive, "counted", stderr=said)
        said.seek(0)
        counts = re.findall(rb"I +refs: +([\d,]+)", said.read())
    return sum(int(count.replace(b",", b"")) for count in counts)


def clock(command, env, runs, drive=None):
    """Seconds of CPU and KiB of resident memory of the process and its children."""
    said = os.path.join(runs.work, "usage")
    run([os.path.join(runs.work, "measure"), said, *command], env, drive, "timed", stderr=subprocess.DEVNULL)
    with open(said) as file:
        return [float(word) for word in file.read().split()]


class Table:
    """Rows as they will stand in the file."""

    def __init__(self):
        self.rows = []

    def add(self, workload, variant, metric, values):
        middle, spread = statistics.median(values), max(values) - min(values)
        value = f"{middle:.4g}" if abs(middle) < 1000 else str(round(middle))
        row = [workload.name, variant.name, metric, value, len(values), f"{spread:.3g}"]
        self.rows.append(row)
        print(",".join(str(cell) for cell in row), flush=True)


def density(workload, runs):
    """Allocations and their bytes, as full mode counts them."""
    env = workload.environment(runs, FULL)
    run(workload.command("counted", FULL), env, workload.drive, "counted", stderr=subprocess.DEVNULL)
    return runs.take_samples()


def count(workload, variants, runs, table):
    """Instructions, and what a sample adds to them."""
    allocations, total = density(workload, runs)
    gap = interval(allocations, total)
    table.add(workload, PLAIN, "allocations", [allocations])
    table.add(workload, PLAIN, "mean_bytes", [total / allocations])
    table.add(workload, PLAIN, "interval_bytes", [gap])
    counted = {"plain": instructions(workload, PLAIN, workload.environment(runs, PLAIN))}
    for variant in variants:
        if not variant.is_countable or variant.traces_all and not workload.trace_all:
            continue
        counted[variant.name] = instructions(workload, variant, workload.environment(runs, variant, gap))
        table.add(workload, variant, "instructions", [counted[variant.name] / counted["plain"]])
        taken = runs.take_samples()[0]
        if not variant.is_ours:
            taken = variant.samples(allocations, total)
        if variant.base and taken >= FEWEST:
            table.add(workload, variant, "samples", [taken])
            extra = counted[variant.name] - counted[variant.base]
            table.add(workload, variant, "per_sample", [extra / taken])
    return gap


def time(workload, variants, gap, rounds, runs, table):
    """CPU time and peak memory, variants taking turns. Those that trace everything do the counted work, the rest more."""
    for traces_all, what in [(False, "timed"), (True, "counted")]:
        group = [variant for variant in variants if variant.traces_all == traces_all]
        if not group or (traces_all and not workload.trace_all):
            continue
        measured = {variant: ([], []) for variant in group}
        for _ in range(rounds if not traces_all else 3):
            base = clock(workload.command(what, PLAIN), workload.environment(runs, PLAIN), runs, workload.drive)
            for variant in group:
                env = workload.environment(runs, variant, gap)
                one = clock(workload.command(what, variant), env, runs, workload.drive)
                for ratios, now, then in zip(measured[variant], one, base):
                    ratios.append(now / then)
                runs.take_samples()
        for variant, (cpu, rss) in measured.items():
            table.add(workload, variant, "cpu_time", cpu)
            table.add(workload, variant, "peak_rss", rss)


def contend(workload, variants, gap, rounds, runs, table):
    """CPU time of two threads that do the work of one each, per thread, against one thread's."""
    measured = {variant: [] for variant in [PLAIN, *(v for v in variants if not v.traces_all)]}
    for _ in range(rounds):
        for variant, ratios in measured.items():
            env = workload.environment(runs, variant, gap)
            one, two = clock(workload.timed, env, runs)[0], clock(workload.twice, env, runs)[0]
            ratios.append(two / 2 / one)
            runs.take_samples()
    for variant, ratios in measured.items():
        table.add(workload, variant, "per_thread", ratios)


def described(part):
    """One line on where and when, without names of machines."""
    with open("/proc/cpuinfo") as file:
        model = re.search(r"model name\s*: (.+)", file.read()).group(1)
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True)
    words = [model, platform.machine(), f"{os.cpu_count()} cores", f"Linux {platform.release().split('-')[0]}",
             f"glibc {platform.libc_ver()[1]}", *(f"{name} {version}" for name, version in versions().items()),
             f"commit {commit.stdout.strip()}", datetime.date.today().isoformat()]
    return f"# {part}: " + "; ".join(words)


def save(path, parts, measured):
    """Replaces the rows that have been measured again; a file holds the last measurement of each."""
    heads, rows = {}, {}
    if os.path.exists(path):
        with open(path) as file:
            lines = file.read().splitlines()
        heads = {line[2:].split(":")[0]: line for line in lines if line.startswith("#")}
        rows = {tuple(row[:3]): row for row in csv.reader(line for line in lines if not line.startswith("#"))}
        rows.pop(tuple(COLUMNS[:3]), None)
    heads.update({part: described(part) for part in parts})
    rows.update({tuple(row[:3]): [str(cell) for cell in row] for row in measured})
    with open(path, "w") as file:
        for part in PARTS:
            if part in heads:
                print(heads[part], file=file)
        csv.writer(file, lineterminator="\n").writerows([COLUMNS, *rows.values()])


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library", help="a heapql binary, or libheapql_preload.so")
    parser.add_argument("--only", help="workloads, separated by commas")
    parser.add_argument("--part", choices=PARTS, help="instructions or clock alone")
    parser.add_argument("--quick", action="store_true", help="no peers, three rounds")
    parser.add_argument("--rounds", type=int, default=7, help="of the clock")
    parser.add_argument("--out", default=RESULTS)
    return parser.parse_args()


def main():
    asked = arguments()
    parts = [asked.part] if asked.part else list(PARTS)
    rounds = 3 if asked.quick else asked.rounds
    peers = [] if asked.quick else [peer for peer in PEERS if os.path.exists(peer.library)]
    for peer in PEERS:
        if not asked.quick and peer not in peers:
            print(f"{peer.name}: {peer.library} is missing", file=sys.stderr)
    work, ledgers, table = tempfile.mkdtemp(), tempfile.mkdtemp(dir="/dev/shm"), Table()
    try:
        runs = Runs(preload(asked.library, ledgers), work, ledgers)
        every = workloads(work, build(work), GLIBC)
        names = asked.only.split(",") if asked.only else [workload.name for workload in every]
        unknown = set(names) - {workload.name for workload in every}
        if unknown:
            sys.exit(f"no workload {', '.join(sorted(unknown))}; there are {', '.join(w.name for w in every)}")
        for workload in every:
            if workload.name not in names:
                continue
            variants = OURS + peers
            if "instructions" in parts:
                count(workload, variants, runs, table)
            if "clock" in parts and workload.timed:
                gap = interval(*density(workload, runs))
                time(workload, variants, gap, rounds, runs, table)
                if workload.twice:
                    contend(workload, variants, gap, rounds, runs, table)
    finally:
        shutil.rmtree(work)
        shutil.rmtree(ledgers)
    save(asked.out, parts, table.rows)


if __name__ == "__main__":
    main()
