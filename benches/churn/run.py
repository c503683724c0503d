#!/usr/bin/env python3
"""churn.c plain and recorded: live bytes and resident memory over many identical days, as CSV.

Every variant performs the same operations; a day is ten phases. Needs gcc and the preload library, or a heapql binary.

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
            ran = subprocess.run([churn, *size], env=runs.environment(variant), check=True, capture_output=True, text=True)
            head, *rows = ran.stdout.splitlines()
            for row in [head] * (number == 0) + rows:
                print("variant" if row == head else variant.name, row, sep=",", flush=True)
            runs.take_samples()


if __name__ == "__main__":
    main()
