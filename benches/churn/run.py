#!/usr/bin/env python3
"""churn.c plain and recorded: live bytes and resident memory over many identical days, as CSV.

Every variant performs the same operations; a day is ten phases. glibc is held to one arena: with the usual several, what
it keeps depends on which thread met which, and differs by half between runs of the same binary. Needs gcc, and a heapql
binary or the preload library itself.

    benches/churn/run.py target/debug/heapql > benches/churn/results.csv
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "whole"))
from run import described, preload  # noqa: E402
from variants import OURS, PLAIN, Runs  # noqa: E402


def main():
    given, *size = sys.argv[1:]
    with tempfile.TemporaryDirectory() as work, tempfile.TemporaryDirectory(dir="/dev/shm") as ledgers:
        churn = os.path.join(work, "churn")
        subprocess.run(["gcc", "-O2", "-g", "-pthread", os.path.join(HERE, "churn.c"), "-o", churn], check=True)
        runs = Runs(preload(given, ledgers), work, ledgers)
        print(described("churn"))
        for number, variant in enumerate([PLAIN, *(v for v in OURS if v.name != "zero")]):
            env = {**runs.environment(variant), "MALLOC_ARENA_MAX": "1"}
            ran = subprocess.run([churn, *size], env=env, check=True, capture_output=True, text=True)
            head, *rows = ran.stdout.splitlines()
            for row in [head] * (number == 0) + rows:
                print("variant" if row == head else variant.name, row, sep=",", flush=True)
            runs.take_samples()


if __name__ == "__main__":
    main()
