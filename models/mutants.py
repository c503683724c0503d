#!/usr/bin/env python3
"""Breaks the product's code in one place at a time, in a copy, and sees that a model fails: a model that none of these
makes fail protects nothing. Slow, and not part of the tests; run it when a model or what it protects has changed.
Arguments: parts of the names of files to break."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent

LOCK, INDEX, WRITER = "ledger/src/lock.rs", "ledger/src/index.rs", "ledger/src/writer/mod.rs"
CREATE, TABLES = "ledger/src/writer/create.rs", "ledger/src/writer/tables.rs"
LAYOUT, READER = "ledger/src/layout.rs", "ledger/src/reader/mod.rs"
POOL, SLAB, DECIDE = "sampler/src/pool/mod.rs", "sampler/src/pool/slab.rs", "sampler/src/decide.rs"
STATE, RECORDER, GUARD, SCOPE = "sampler/src/recorder/state.rs", "sampler/src/recorder/mod.rs", "sampler/src/guard.rs", "sampler/src/scope.rs"

# What a model must notice: file, what stands there, what is put in its place, the models that are run.
MUTANTS = [
    (LOCK, "swap(true, Acquire)", "swap(true, Relaxed)", "lock"),
    (LOCK, "self.0.is_held.store(false, Release)", "self.0.is_held.store(false, Relaxed)", "lock"),
    (LOCK, "self.is_held.load(Relaxed) || self.is_held.swap(true, Acquire)", "self.is_held.load(Acquire) || { self.is_held.store(true, Relaxed); false }", "lock"),
    (INDEX, "entry.hash.store(hash.max(1), Release)", "entry.hash.store(hash.max(1), Relaxed)", "callsites"),
    (INDEX, "match entry.hash.load(Acquire)", "match entry.hash.load(Relaxed)", "callsites"),
    (
        INDEX,
        "        for entry in table.entries() {\n            let hash",
        "        self.table.store(core::ptr::from_ref(larger).cast_mut(), Release);\n        for entry in table.entries() {\n            let hash",
        "callsites: found",
    ),
    (WRITER, "        if let Some((id, _)) = self.index.get(hash) {\n            return Ok(id);\n        }\n", "", "callsites"),
    (
        WRITER,
        "        self.callsites.store(id + 1, Release);\n",
        "        self.index.insert(hash, (id, stack_at));\n        self.callsites.store(id + 1, Release);\n",
        "callsites",
    ),
    (WRITER, "self.page.callsite_count.store(id + 1, Release)", "self.page.callsite_count.store(id + 1, Relaxed)", "callsites"),
    (TABLES, "self.page.label_count.store(id + 1, Release)", "self.page.label_count.store(id + 1, Relaxed)", "callsites"),
    (TABLES, "self.page.module_count.store(id + 1, Release)", "self.page.module_count.store(id + 1, Relaxed)", "callsites"),
    (TABLES, "        let _held = self.lock.lock()?;\n        self.find_label(wanted).or_else", "        self.find_label(wanted).or_else", "callsites"),
    (WRITER, "let _held = self.lock.lock().ok_or(Loss::Contended)?;", "", "callsites"),
    (CREATE, "        header.ready.store(1, Release);\n", "", "callsites: a file"),
    (CREATE, "        identity::describe(header, created);\n", "        header.ready.store(1, Release);\n        identity::describe(header, created);\n", "callsites: a file"),
    (READER, "        if is_ready(&header) {", "        if false {", "callsites: a file"),
    (READER, "if is_zero && !is_ready(header)", "if false", "callsites: a file"),
    (LAYOUT, "self.limit.fetch_sub(LIMIT_STEP, AcqRel);", "self.limit.fetch_sub(LIMIT_STEP, Relaxed);", "intervals"),
    (LAYOUT, "        self.intervals.store(word, SeqCst);\n", "        self.limit.fetch_sub(0, AcqRel);\n", "intervals"),
    (
        LAYOUT,
        "        let mut word = intervals.to_word();\n",
        "        let mut word = intervals.to_word();\n        self.limit.fetch_sub(LIMIT_STEP, AcqRel);\n        if true {\n            self.intervals.store(word, SeqCst);\n            return self.byte_rule.store(intervals.byte_rule(), SeqCst);\n        }\n",
        "intervals",
    ),
    (LAYOUT, "for _ in 0..16 {", "for _ in 0..1 {", "intervals"),
    (DECIDE, "let limit = control.limit.load(Acquire);\n    if thread.gaps.limit.get() != limit {\n        begin(thread, control, limit);\n    }\n    let gaps = &thread.gaps;", "let limit = control.limit.load(core::sync::atomic::Ordering::Relaxed);\n    if thread.gaps.limit.get() != limit {\n        begin(thread, control, limit);\n    }\n    let gaps = &thread.gaps;", "intervals"),
    (SLAB, "compare_exchange_weak(head, address, Release, Relaxed)", "compare_exchange_weak(head, address, Relaxed, Relaxed)", "objects"),
    (SLAB, "shard.remote_frees.swap(0, Acquire)", "shard.remote_frees.swap(0, Relaxed)", "objects"),
    (SLAB, "if header(address).word.load(Relaxed) != word {", "if false {", "objects"),
    (SLAB, "(0xfffe | u64::from(moved)) << 16", "u64::from(moved) << 16", "objects"),
    (SLAB, "compare_exchange(word, freed, AcqRel, Relaxed).is_err()", "swap(freed, AcqRel) == 0", "objects"),
    (
        SLAB,
        "        pool.range.release(pool.range.address(number) as usize, UNIT_BYTES);\n        pool.give_back(number);\n",
        "        pool.give_back(number);\n        pool.range.release(pool.range.address(number) as usize, UNIT_BYTES);\n",
        "objects",
    ),
    (
        POOL,
        "        self.range.release(address, unit.span_bytes());\n        self.give_back(number);\n",
        "        let bytes = unit.span_bytes();\n        self.give_back(number);\n        self.range.release(address, bytes);\n",
        "objects",
    ),
    (POOL, "        if !unit.end_large() {\n            return Err(PoolError::DoubleFree);\n        }\n", "        unit.end_large();\n", "objects"),
    (POOL, "compare_exchange_weak(head, unit + 1, Release, Relaxed)", "compare_exchange_weak(head, unit + 1, Relaxed, Relaxed)", "objects"),
    (POOL, "self.freed_spans.swap(0, Acquire)", "self.freed_spans.swap(0, Relaxed)", "objects"),
    (POOL, "            state.set_next_freed(head);\n", "", "objects"),
    (
        STATE,
        "    PAGE.control.limit.store(0, Relaxed);\n    // Last: from now on another thread may open the ledger, whose words these then are.\n    STATE.store(UNOPENED, Release);\n",
        "    STATE.store(UNOPENED, Release);\n    PAGE.control.limit.store(0, Relaxed);\n",
        "recording",
    ),
    (STATE, "    if STATE.load(Acquire) != UNOPENED {\n", "    if false {\n", "recording"),
    (STATE, "    let Some(_held) = OPENING.lock() else {\n        return false;\n    };\n", "", "recording"),
    (GUARD, "        if thread.inside.get() {\n            return None;\n        }\n", "", "signals"),
    (GUARD, "        thread.inside.set(true);\n", "", "signals"),
    (GUARD, "        self.thread.inside.set(false);\n", "", "signals"),
    (
        RECORDER,
        "        && let Some(inside) = ReentrancyGuard::enter()\n    {\n        decide::switch(inside.thread, &PAGE.control, label);\n",
        "    {\n        decide::switch(thread::current(), &PAGE.control, label);\n",
        "signals",
    ),
    (
        SCOPE,
        "    let before = thread.scopes.get(depth as usize).map(SignalU16::get);\n    compiler_fence(SeqCst);\n    thread.scope_depth.set(depth);\n",
        "    thread.scope_depth.set(depth);\n    compiler_fence(SeqCst);\n    let before = thread.scopes.get(depth as usize).map(SignalU16::get);\n",
        "signals",
    ),
]


def run(copy, filter):
    """None if it does not compile, else whether all models hold."""
    env = os.environ | {"CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR", str(ROOT / "models/target")) + "/mutants", "RUST_BACKTRACE": "0"}
    build = ["cargo", "build", "--quiet"]
    if subprocess.run(build, cwd=copy / "models", env=env, stderr=subprocess.DEVNULL).returncode != 0:
        return None
    models = env["CARGO_TARGET_DIR"] + "/debug/models"
    try:
        return subprocess.run([models, filter], env=env, stderr=subprocess.DEVNULL, timeout=120).returncode == 0
    except subprocess.TimeoutExpired:
        return True


def main():
    survived = 0
    with tempfile.TemporaryDirectory() as directory:
        copy = pathlib.Path(directory)
        shutil.copytree(ROOT / "crates", copy / "crates")
        shutil.copytree(ROOT / "models", copy / "models", ignore=shutil.ignore_patterns("target"))
        shutil.copy(ROOT / "Cargo.toml", copy)
        shutil.copytree(ROOT / "tests", copy / "tests", ignore=shutil.ignore_patterns("target"))
        for file, old, new, filter in MUTANTS:
            if sys.argv[1:] and not any(part in file for part in sys.argv[1:]):
                continue
            path = copy / "crates" / file
            text = path.read_text()
            assert text.count(old) == 1, f"{file}: {text.count(old)} times {old!r}"
            path.write_text(text.replace(old, new))
            holds = run(copy, filter)
            path.write_text(text)
            verdict = {None: "DOES NOT COMPILE", True: "SURVIVES", False: "killed"}[holds]
            survived += verdict != "killed"
            print(f"{verdict}: {file}: {' '.join(new.split()) or 'nothing'}", flush=True)
    sys.exit(f"{survived} survived" if survived else 0)


main()
