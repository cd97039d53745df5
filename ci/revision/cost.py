# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""What the series costs files without seals: instructions a call, and bytes of code."""

import os
import re

import cost_table
import keep
import series

NAME = "cost"
ASKS = "unsealed files: write, read, fault and mmap as before to three decimals; at most 512 bytes of text"
PARTS = ["cost_table.py", "cost.c", "qemu-icount", "../sequence-init.c", "series.py"]
TEXT = 512


def inputs(revision):
    return [revision.content(), *revision.machine()]


def check(revision):
    found, last = keep.Outcome(), len(revision.patches)
    images, measured = {}, {}
    for number in (0, last):
        folder = revision.upto(number)
        said = keep.run(series.runner("build"), env=series.variables(
            SERIES=folder, BASE=revision.listed, KERNEL=revision.kernel))
        images[number] = said.strip().splitlines()[-1]
        measured[number] = cost_table.measure(folder, BASE=revision.listed, KERNEL=revision.kernel)
    rows = cost_table.table(measured[0], measured[last])
    found.problems += cost_table.problems(rows)
    found.tables.append(keep.Table("Instructions a call on unsealed files, by QEMU's -icount", [
        "operation", "file", "stock", "patched", "ratio", "why"], [
        [*map(str, row[:-1]), f"{row.ratio:.3f}" if row.ratio else "-", cost_table.rule(row)[2]] for row in rows]))
    tool = os.path.join(revision.tree, "scripts/bloat-o-meter")
    said = keep.run(["python3", tool, images[0], images[last]])
    found.notes.append(f"bloat-o-meter, stock to patched:\n{said.strip()}")
    text = [int(keep.run(["size", images[number]]).splitlines()[1].split()[0]) for number in (0, last)]
    if text[1] - text[0] > TEXT:
        found.problems.append(f"text grows by {text[1] - text[0]} bytes; {TEXT} are allowed")
    grown = re.search(r"Total: .*", said)
    found.line = f"{len(rows)} operations; text {text[1] - text[0]:+} bytes; {grown[0] if grown else ''}"
    return found
