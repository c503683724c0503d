#!/usr/bin/env python3
"""Puts what results.csv says into docs/reference/overhead.md, between its marks, and draws docs/reference/overhead.svg. Measures nothing.

    benches/whole/report.py
"""
import csv
import os
import re

from workloads import HERE, ROOT

DOCUMENT = os.path.join(ROOT, "docs", "reference", "overhead.md")
CHURN = os.path.join(ROOT, "benches", "churn", "results.csv")
MODES = ["zero", "16..256", "1..16", "full"]
SAMPLING = ["jemalloc sampling", "tcmalloc sampling"]
TRACING = ["tcmalloc HEAPPROFILE", "heaptrack"]
# The most that a mode may cost, as a ratio.
INSTRUCTIONS = {
    "slots": {"zero": 1.05, "16..256": 1.08, "1..16": 1.20},
    "deep": {"zero": 1.05, "16..256": 1.08, "1..16": 1.25},
    "cppmix": {"zero": 1.03, "16..256": 1.04, "1..16": 1.12, "full": 5},
    "python": {"zero": 1.015, "16..256": 1.025, "1..16": 1.12},
}
MICRO = ["slots", "deep", "calloc", "realloc", "handoff", "fresh"]
PEAK_RSS = {"16..256": 1.04}
# Instructions of a sample: with a stack that repeats, and with a new one.
PER_SAMPLE = {"slots": 1000, "deep": 1000, "fresh": 2500}


class Results:
    def __init__(self, path):
        with open(path) as file:
            lines = file.read().splitlines()
        self.heads = [line[2:] for line in lines if line.startswith("#")]
        self.values = {}
        for row in csv.DictReader(line for line in lines if not line.startswith("#")):
            self.values[row["workload"], row["variant"], row["metric"]] = (float(row["value"]), float(row["spread"]))

    def get(self, *key):
        return self.values[key][0] if key in self.values else None

    def workloads(self, metric):
        return list(dict.fromkeys(workload for workload, _, of in self.values if of == metric))


def ratio(value, bound=None):
    """A cell: the ratio, and the bound if there is one."""
    if value is None:
        return ""
    text = f"{value:.3f}" if value < 2 else f"{value:.2f}" if value < 10 else f"{value:.0f}"
    if bound is None:
        return text
    return f"{text} of {bound:g}" if value <= bound else f"**{text} of {bound:g}: not met**"


def number(value, bound=None):
    if value is None:
        return ""
    text = f"{value:,.0f}"
    if bound is None:
        return text
    return f"{text} of {bound:,}" if value <= bound else f"**{text} of {bound:,}: not met**"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def instructions(results):
    rows = []
    for name in results.workloads("instructions"):
        bounds = INSTRUCTIONS.get(name, {})
        rows.append([name, *(ratio(results.get(name, mode, "instructions"), bounds.get(mode)) for mode in MODES)])
    return table(["workload", *MODES], rows)


def clock(results):
    rows = []
    for name in results.workloads("cpu_time"):
        rss = {} if name in MICRO else PEAK_RSS
        rows.append([name, *(ratio(results.get(name, mode, "cpu_time")) for mode in MODES),
                     *(ratio(results.get(name, mode, "peak_rss"), rss.get(mode)) for mode in MODES)])
    return table(["workload", *(f"time, {mode}" for mode in MODES), *(f"memory, {mode}" for mode in MODES)], rows)


def threads(results):
    variants = ["plain", *MODES, *SAMPLING]
    rows = [[name, *(ratio(results.get(name, variant, "per_thread")) for variant in variants)]
            for name in results.workloads("per_thread")]
    return table(["workload", *variants], rows)


def peers(results):
    variants = ["16..256", "jemalloc", SAMPLING[0], "tcmalloc", SAMPLING[1], "full", "tcmalloc HEAPPROFILE"]
    rows = [[name, number(results.get(name, "plain", "interval_bytes")),
             *(ratio(results.get(name, variant, "instructions")) for variant in variants)]
            for name in results.workloads("instructions")]
    return table(["workload", "bytes between samples", *variants], rows)


def peers_clock(results):
    variants = ["16..256", *SAMPLING, "full", *TRACING]
    metrics = {"time": "cpu_time", "memory": "peak_rss"}
    rows = [[name, *(ratio(results.get(name, variant, metric)) for metric in metrics.values() for variant in variants)]
            for name in results.workloads("cpu_time")]
    return table(["workload", *(f"{word}, {variant}" for word in metrics for variant in variants)], rows)


def samples(results):
    variants = [*MODES[1:], *SAMPLING, "tcmalloc HEAPPROFILE"]
    rows = []
    for name in results.workloads("instructions"):
        bounds = dict.fromkeys(MODES, PER_SAMPLE.get(name))
        rows.append([name, *(number(results.get(name, variant, "per_sample"), bounds.get(variant)) for variant in variants)])
    return table(["workload", *variants], rows)


def churn():
    with open(CHURN) as file:
        rows = list(csv.DictReader(line for line in file if not line.startswith("#")))
    mebibytes = lambda value: f"{int(value) / 2**20:.0f} MiB"
    lines = []
    for variant in dict.fromkeys(row["variant"] for row in rows):
        own = [row for row in rows if row["variant"] == variant]
        days = sorted({int(row["day"]) for row in own})
        top = lambda day: max(int(row["most_rss_bytes"]) for row in own if int(row["day"]) == day)
        low = lambda day: min(int(row["rss_bytes"]) for row in own if int(row["day"]) == day)
        lines.append([variant, mebibytes(max(int(row["most_live_bytes"]) for row in own)),
                      *(mebibytes(of(day)) for of in (top, low) for day in (days[1], days[len(days) // 2], days[-1])),
                      f"{max(int(row['ledger_bytes']) for row in own) / 2**10:.0f} KiB"])
    return table(["", "most live", *(f"{what}, day {day + 1}" for what in ("most resident", "least resident")
                                     for day in (days[1], days[len(days) // 2], days[-1])), "ledger"], lines)


# Name, variant, what it is compared with, shape, colours on light and dark.
SERIES = [
    ("HeapQL 16..256", "16..256", None, "circle", "#1f6feb", "#6cb0ff"),
    ("HeapQL full", "full", None, "ring", "#1f6feb", "#6cb0ff"),
    ("jemalloc sampling", "jemalloc sampling", "jemalloc", "square", "#c2410c", "#ff9d57"),
    ("tcmalloc sampling", "tcmalloc sampling", "tcmalloc", "diamond", "#15803d", "#5fd38a"),
    ("tcmalloc HEAPPROFILE", "tcmalloc HEAPPROFILE", "tcmalloc", "diamond ring", "#15803d", "#5fd38a"),
]
LEFT, RIGHT, TOP, STEP = 90, 780, 84, 26
# Decades of the axis: 0.1 % to 100,000 %.
LEAST, MOST = -3, 3


def mark(kind, css, x, y, title=""):
    title = f"<title>{title}</title>" if title else ""
    css += " ring" if "ring" in kind else ""
    if "square" in kind:
        return f'<rect class="{css}" x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9">{title}</rect>'
    if "diamond" in kind:
        return f'<path class="{css}" d="M{x:.1f} {y - 6:.1f}l6 6l-6 6l-6 -6z">{title}</path>'
    return f'<circle class="{css}" cx="{x:.1f}" cy="{y:.1f}" r="5">{title}</circle>'


def picture(results):
    """A row per workload: what recording adds to the instructions, on a logarithmic axis."""
    from math import log10

    place = lambda extra: LEFT + (RIGHT - LEFT) * (max(log10(max(extra, 1e-9)), LEAST) - LEAST) / (MOST - LEAST)
    names = results.workloads("instructions")
    bottom = TOP + STEP * len(names)
    light = "".join(f".s{i}{{fill:{one[4]};stroke:{one[4]}}}" for i, one in enumerate(SERIES))
    dark = "".join(f".s{i}{{fill:{one[5]};stroke:{one[5]}}}" for i, one in enumerate(SERIES))
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 820 {bottom + 44}" font-family="sans-serif" font-size="13">',
        "<style>text{fill:#1f2328}.grid{stroke:#d0d7de}.s{stroke-width:1.8}" + light
        + "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#3d444d}" + dark + "}.s.ring{fill:none}</style>",
        '<text x="10" y="20" font-size="15">Instructions that recording adds, of the same allocator without it</text>',
    ]
    for i, (name, _, _, kind, *_) in enumerate(SERIES):
        x, y = LEFT + 8 + i % 3 * 220, 42 + i // 3 * 20
        out += [mark(kind, f"s s{i}", x, y - 4), f'<text x="{x + 12}" y="{y}">{name}</text>']
    for power in range(LEAST, MOST + 1):
        x = place(10**power)
        out.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 10}" y2="{bottom}"/>')
        out.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{10.0**(power + 2):,g} %</text>')
    for row, workload in enumerate(names):
        y = TOP + STEP * row + STEP / 2 - 6
        out.append(f'<text x="{LEFT - 12}" y="{y + 4}" text-anchor="end">{workload}</text>')
        for i, (name, variant, base, kind, *_) in enumerate(SERIES):
            value, over = results.get(workload, variant, "instructions"), 1.0
            if base:
                over = results.get(workload, base, "instructions")
            if value is None or over is None or results.get(workload, variant, "per_sample") is None:
                continue
            extra = value / over - 1
            out.append(mark(kind, f"s s{i}", place(extra), y, f"{workload}, {name}: {extra * 100:+.2f} %"))
    note = "Least shown: 0.1 %. Sampling peers at the density of 16..256."
    out.append(f'<text x="{LEFT}" y="{bottom + 38}">{note}</text></svg>')
    return "\n".join(out) + "\n"


def main():
    results = Results(os.path.join(HERE, "results.csv"))
    parts = {"instructions": instructions, "clock": clock, "threads": threads, "peers": peers,
             "peers' clock": peers_clock, "samples": samples,
             "machine": lambda results: "\n".join(f"- {head}" for head in results.heads)}
    parts = {name: part(results) for name, part in parts.items()}
    if os.path.exists(CHURN):
        parts["churn"] = churn()
    with open(DOCUMENT) as file:
        text = file.read()
    for name, part in parts.items():
        marks = f"<!-- {name} -->", f"<!-- end of {name} -->"
        text, found = re.subn(f"(?s){marks[0]}.*?{marks[1]}", lambda _: f"{marks[0]}\n{part}\n{marks[1]}", text)
        assert found == 1, f"{DOCUMENT} has no place for {name}"
    with open(DOCUMENT, "w") as file:
        file.write(text)
    with open(os.path.join(ROOT, "docs", "reference", "overhead.svg"), "w") as file:
        file.write(picture(results))


if __name__ == "__main__":
    main()
