#!/usr/bin/env python3
"""Leak verdicts on the labelled programs beside this file: which leaks are named, when, and what else is suspected.

Not part of test.sh. Compiles the programs, records all of them at the same time in normal mode under one `heapql serve`,
asks `leak_suspects` every 30 seconds, and prints precision, recall and time to detection as Markdown. A suspect is right if it is in a
program whose first line says "leak: function NAME" and its frame names that function. Called by hand:

    tests/leaks/run.py [--heapql target/debug/heapql] [--minutes 5] [--csv FILE] [--docs docs/explanation/leaks.md] [PROGRAM..]
"""
import argparse
import csv
import io
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
PROGRAMS = HERE / "programs"
ROOT = HERE.parent.parent
ASK_EVERY_SECONDS = 30
# Normal mode; CPython keeps small objects in arenas of its own otherwise.
MODE = {"HEAPQL_MIN": "16", "HEAPQL_MAX": "256", "PYTHONMALLOC": "malloc"}
QUERY = "SELECT pid, rank, verdict, app_frame, why FROM leak_suspects WHERE verdict = 'growing' ORDER BY pid, rank"
C_FLAGS = ["-g", "-O1", "-fno-optimize-sibling-calls", "-Wall", "-Wextra"]
COMPILERS = {".c": ["gcc", *C_FLAGS], ".cpp": ["g++", *C_FLAGS], ".rs": ["rustc", "-g", "-O", "--edition", "2024"]}
# Not one that only finds the interpreter: it would be recorded, too.
PYTHON = getattr(sys, "_base_executable", sys.executable)
TABLE = re.compile(r"(<!-- run\.py -->\n).*?(<!-- end -->\n)", re.S)


class Program:
    """A labelled program, and what was said of it."""

    def __init__(self, source):
        self.source, self.name = source, source.stem
        label = source.read_text().splitlines()[0].lstrip("/# ")
        kind, _, text = label.partition(": ")
        if kind not in ("leak", "steady") or (kind == "leak" and not text.startswith("function ")):
            sys.exit(f"{source}: the first line must be 'leak: function NAME' or 'steady: WHY', not '{label}'")
        self.function = text.removeprefix("function ") if kind == "leak" else None
        self.found_at = self.rank = None
        self.why = ""
        self.others = {}

    def command(self, directory):
        """Compiled, if need be."""
        if self.source.suffix == ".py":
            return [PYTHON, self.source]
        binary = directory / self.name
        libraries = ["-lm", "-lpthread"] if self.source.suffix != ".rs" else []
        subprocess.run([*COMPILERS[self.source.suffix], self.source, "-o", binary, *libraries], check=True)
        return [binary]

    def suspected(self, seconds, rank, frame, why):
        """`rank` among the suspects of this program."""
        if self.function and self.function in frame:
            if self.found_at is None:
                self.found_at, self.rank, self.why = seconds, rank, why
        else:
            self.others.setdefault(frame, (seconds, why))

    def row(self):
        found = "" if self.found_at is None else f"{self.found_at:.0f} s"
        others = "; ".join(f"{frame} after {seconds:.0f} s" for frame, (seconds, _) in self.others.items())
        return [self.name, "leak" if self.function else "steady", self.function or "", found, self.rank or "", others]


def start_server(heapql, directory, state):
    ready = state / "endpoints.json"
    command = [heapql, "serve", "--dir", directory, "--data-dir", state / "data", "--http", "off", "--endpoints", ready]
    server = subprocess.Popen([*command, "--mysql", "off", "--postgres", "127.0.0.1:0"], stderr=(state / "log").open("w"))
    for _ in range(300):
        if ready.exists():
            return server
        if server.poll() is not None:
            break
        time.sleep(0.1)
    server.kill()
    sys.exit(f"heapql serve does not start:\n{(state / 'log').read_text()}")


def recorded_environment(heapql, directory):
    """What `eval $(heapql env)` sets."""
    lines = subprocess.run([heapql, "env", "--dir", directory], check=True, capture_output=True, text=True).stdout
    assignments = re.findall(r"^export (\w+)=(.*)$", lines, re.M)
    return {**os.environ, **{name: value.strip("'\"") for name, value in assignments}, **MODE}


def suspects(heapql, directory):
    command = [heapql, "sql", "-f", "csv", QUERY]
    answer = subprocess.run(command, env={**os.environ, "HEAPQL_DIR": str(directory)}, capture_output=True, text=True)
    if answer.returncode:
        sys.exit(f"heapql sql fails:\n{answer.stderr}")
    return list(csv.DictReader(io.StringIO(answer.stdout)))


def program_of(pid, running):
    """A forked child belongs to its parent's program."""
    while pid > 1 and pid not in running:
        try:
            pid = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[1])
        except OSError:
            return None
    return running.get(pid)


def watch(arguments, programs):
    with tempfile.TemporaryDirectory(prefix="heapql-leaks-", dir="/dev/shm") as scratch:
        scratch = pathlib.Path(scratch)
        directory, state, binaries = (scratch / name for name in ("ledgers", "state", "binaries"))
        for path in (directory, state, binaries):
            path.mkdir(mode=0o700)
        commands = [program.command(binaries) for program in programs]
        server = start_server(arguments.heapql, directory, state)
        running = {}
        try:
            environment = recorded_environment(arguments.heapql, directory)
            for program, command in zip(programs, commands):
                running[subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)] = program
            begun = time.monotonic()
            while time.monotonic() - begun < arguments.minutes * 60:
                time.sleep(ASK_EVERY_SECONDS)
                seconds, ranks = time.monotonic() - begun, {}
                rows = suspects(arguments.heapql, directory)
                by_pid = {process.pid: program for process, program in running.items()}
                for row in rows:
                    if program := program_of(int(row["pid"]), by_pid):
                        ranks[program] = ranks.get(program, 0) + 1
                        program.suspected(seconds, ranks[program], row["app_frame"], row["why"])
                print(f"{seconds:4.0f} s: {len(rows)} suspects", file=sys.stderr)
            for process, program in running.items():
                if process.poll() is not None:
                    sys.exit(f"{program.name} ended with status {process.returncode}")
        finally:
            for process in running:
                process.kill()
                process.wait()
            server.send_signal(signal.SIGTERM)
            server.wait()


def table(programs, minutes):
    leaks = [program for program in programs if program.function]
    found = [program for program in leaks if program.found_at is not None]
    wrong = sum(len(program.others) for program in programs)
    steady = [program for program in programs if not program.function]
    blamed = [program for program in steady if program.others]
    lines = ["| program | label | leaking function | named after | rank | wrongly suspected |", "|---|---|---|---|---|---|"]
    lines += ["| " + " | ".join(map(str, program.row())) + " |" for program in programs]
    precision = f"{len(found) / (len(found) + wrong):.0%}" if found or wrong else "none suspected"
    lines += ["", f"{minutes:g} minutes in normal mode, asked every {ASK_EVERY_SECONDS} seconds: "
              f"recall {len(found)} of {len(leaks)}, precision {precision} ({wrong} wrong suspects), "
              f"{len(blamed)} of {len(steady)} steady programs suspected."]
    if found:
        times = [program.found_at for program in found]
        lines[-1] += f" Named after {min(times):.0f} to {max(times):.0f} s, half of them by {statistics.median(times):.0f} s."
    return "\n".join(lines) + "\n"


def write_docs(path, text):
    page = path.read_text()
    if not TABLE.search(page):
        sys.exit(f"{path} has no place for the table: <!-- run.py --> .. <!-- end -->")
    path.write_text(TABLE.sub(lambda place: place[1] + text + place[2], page))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heapql", type=pathlib.Path, default=ROOT / "target/debug/heapql")
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--csv", type=pathlib.Path, help="one row per program, with the reasons given")
    parser.add_argument("--docs", type=pathlib.Path, help="a page whose table is replaced")
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help="such as leak_fast; all if none is named")
    arguments = parser.parse_args()
    sources = sorted(path for path in PROGRAMS.iterdir() if path.suffix in (*COMPILERS, ".py"))
    unknown = set(arguments.programs) - {path.stem for path in sources}
    if unknown:
        sys.exit(f"no such program: {', '.join(sorted(unknown))}")
    programs = [Program(path) for path in sources if not arguments.programs or path.stem in arguments.programs]
    watch(arguments, programs)
    report(programs, arguments)
    return 1 if any(program.others for program in programs if not program.function) else 0


def report(programs, arguments):
    text = table(programs, arguments.minutes)
    print(text)
    if arguments.docs:
        write_docs(arguments.docs, text)
    if arguments.csv:
        with arguments.csv.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["program", "label", "function", "named_after", "rank", "wrongly_suspected", "why"])
            writer.writerows([*program.row(), program.why] for program in programs)


if __name__ == "__main__":
    sys.exit(main())
