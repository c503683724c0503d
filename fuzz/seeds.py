#!/usr/bin/env python3
"""Writes the corpora that fuzzing begins with: changes to a ledger's words, and the call frame information of this
machine's own small libraries. Not kept in the tree: `run.sh` makes them anew."""

import glob
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent


def ledgers():
    """One change each: every word of the header's beginning, and of the first records, at its bounds."""
    for at in list(range(0, 256, 4)) + list(range(4096, 6144, 32)):
        for number, value in enumerate((b"\0" * 8, b"\xff" * 8, struct.pack("<Q", 1 << 31))):
            yield f"{at}-{number}", struct.pack("<IB", at, 8) + value


def modules():
    """The segment that holds `.eh_frame_hdr`, if it is small, for a few addresses."""
    for path in glob.glob("/lib/x86_64-linux-gnu/*.so*") + glob.glob("/usr/lib/x86_64-linux-gnu/*.so*"):
        data = pathlib.Path(path).read_bytes()
        if data[:5] != b"\x7fELF\x02":
            continue
        offset, count = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
        headers = [struct.unpack_from("<IIQQQQQQ", data, offset + 56 * number) for number in range(count)]
        index = next((header for header in headers if header[0] == 0x6474E550), None)
        if not index:
            continue
        segment = next(h for h in headers if h[0] == 1 and h[3] <= index[3] < h[3] + h[5])
        # Eight bytes of ours in front, in place of the segment's first.
        frames = data[index[2] : segment[2] + segment[5]]
        if len(frames) > 12_000:
            continue
        for number in range(3):
            row = struct.unpack_from("<i", frames, 12 + 8 * number)[0] if len(frames) > 40 else 0
            yield f"{pathlib.Path(path).name}-{number}", struct.pack("<iHH", row + 8 + 1, 8, 0) + frames


for target, seeds in (("ledger", ledgers()), ("rules", modules())):
    directory = HERE / "corpus" / target
    directory.mkdir(parents=True, exist_ok=True)
    written = [directory.joinpath(name).write_bytes(seed) for name, seed in seeds]
    print(f"{target}: {len(written)} seeds", file=sys.stderr)
