#!/usr/bin/env python3
"""Test suites of other projects, plain and recorded: what passes without the preload library passes with it.

Not a benchmark, and not part of test.sh. Installs Debian packages with apt-get (as root) and fetches
sources of Debian packages into the work directory, from the mirrors that this machine has, never into the tree. Prints a
Markdown table and every test whose outcome differs; ends with 1 if there is one that differs twice. Called by hand:

    cargo build -p heapql-preload --profile preload --features freestanding
    tests/suites/run.py target/preload/libheapql_preload.so [--work DIR] [--modes full,16..256] [SUITE..]
"""
import argparse
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading

import suites

MODES = {"plain": None, "full": (1, 1), "16..256": (16, 256), "zero": (10000, 10000)}
SWEEP_SECONDS = 2


class Ledgers:
    """A directory in shared memory for the ledgers of one run. Suites start tens of thousands of processes, and nobody
    else removes the ledgers of the dead."""

    def __init__(self, user):
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="heapql-suites-", dir="/dev/shm"))
        if user:
            shutil.chown(self.path, user)
        self.seen = 0
        self.ended = threading.Event()
        self.sweeper = threading.Thread(target=self.sweep)
        self.sweeper.start()

    def sweep(self):
        while not self.ended.wait(SWEEP_SECONDS):
            for file in list(self.path.glob("*.heapql")):
                if not os.path.exists(f"/proc/{file.name.split('-')[0]}"):
                    file.unlink(missing_ok=True)
                    self.seen += 1

    def end(self):
        self.ended.set()
        self.sweeper.join()
        self.seen += len(list(self.path.glob("*.heapql")))
        shutil.rmtree(self.path)
        return self.seen


def environment(library, mode, ledgers):
    """Of the program under test. What Python's tests find in ours would change them."""
    env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "HEAPQL_", "PG", "GIT_"))}
    env.update(LC_ALL="C.UTF-8", PYTHONMALLOC="malloc")
    if MODES[mode]:
        least, most = MODES[mode]
        env.update(LD_PRELOAD=str(library), HEAPQL_DIR=str(ledgers.path), HEAPQL_MIN=str(least), HEAPQL_MAX=str(most))
    return env


def once(suite, work, library, mode, units):
    """{test: outcome} of one run, and how many processes were recorded."""
    ledgers = Ledgers(suite.user)
    try:
        outcomes = suite.run(work, environment(library, mode, ledgers), units)
    finally:
        recorded = ledgers.end()
    if units is None and "pass" not in outcomes.values():
        raise SystemExit(f"{suite.name}: no test has passed in mode {mode}: was it built? see suite.log under {work}")
    if MODES[mode] and not recorded:
        raise SystemExit(f"{suite.name}: nothing was recorded in mode {mode}")
    return outcomes, recorded


def differing(plain, recorded):
    """Tests that did not do what they did without the recorder. One that was not reached is one of them."""
    return sorted(test for test, outcome in plain.items() if outcome == "pass" and recorded.get(test) != "pass")


def failed(outcomes):
    return sum(outcome == "fail" for outcome in outcomes.values())


def compare(suite, work, library, modes):
    """One row of the table, and what differs."""
    suite.prepare(work)
    plain, _ = once(suite, work, library, "plain", None)
    row = [suite.name, suite.version(), str(len(plain)), str(failed(plain))]
    all_differ = []
    for mode in modes:
        recorded, processes = once(suite, work, library, mode, None)
        first = differing(plain, recorded)
        # Once more, alone, both ways: many of these tests depend on the clock.
        units = sorted({test.split(": ")[0] for test in first})
        again = {}
        if units:
            plain_again, _ = once(suite, work, library, "plain", units)
            again, _ = once(suite, work, library, mode, units)
            differ = [test for test in differing(plain_again, again) if test in first]
        else:
            differ = []
        for test in first:
            print(f"{suite.name} {mode}: {test}" + (" (twice)" if test in differ else " (not again)"), flush=True)
        all_differ += differ
        row.append(f"{failed(recorded)}, {len(differ)} ({processes})")
        print(" | ".join(row), file=sys.stderr, flush=True)
    return row, all_differ


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("library", type=pathlib.Path)
    parser.add_argument("names", nargs="*", metavar="SUITE", help="of " + ", ".join(s.name for s in suites.ALL))
    parser.add_argument("--work", type=pathlib.Path, default=pathlib.Path(tempfile.gettempdir()) / "heapql-suites")
    parser.add_argument("--modes", default="full,16..256")
    parser.add_argument("--quick", action="store_true", help="one minute of what needs no package that test.sh lacks")
    arguments = parser.parse_intermixed_args()
    modes = arguments.modes.split(",")
    unknown = [m for m in modes if m not in MODES] + [n for n in arguments.names if n not in [s.name for s in suites.ALL]]
    if unknown or not arguments.library.exists():
        parser.error(f"unknown: {', '.join(unknown) or arguments.library}")
    arguments.work.mkdir(parents=True, exist_ok=True)
    library, work = arguments.library.resolve(), arguments.work.resolve()
    chosen = [suites.QUICK] if arguments.quick else [s for s in suites.ALL if s.name in arguments.names or not arguments.names]
    rows, differ = [], []
    for suite in chosen:
        row, tests = compare(suite, work, library, modes)
        rows.append(row)
        differ += tests
    print("\n| suite | version | tests | plain: failed |" + "".join(f" {m}: failed, differing (processes) |" for m in modes))
    print("|" + "---|" * (4 + len(modes)))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
