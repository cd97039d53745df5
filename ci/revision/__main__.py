#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Says whether a revision of the series is fit to send: runs every gate on it, writes the report, and
fails if a gate does.

Usage: ci/with-python ci/revision [--stop] [--report FOLDER] [gate ...]

  gate             only these; all when none is named. There are:
%s
  --stop           run no further gate once one has failed
  --report FOLDER  where report.md, report.html and report.json go (target/revision)

SERIES=    a folder of patches, an mbox, or with KERNEL= a git range of that tree; patches/<BASE> if unset
BASE=      a folder of patches/ that patches/bases.toml lists (mainline): what kernel it is for
KERNEL=    a Linux git tree in place of Debian's package of the base
PREVIOUS=  the revision before it, as SERIES: for the range-diff

What was found once is kept by the content that it depends on: run it again, and it goes on. Exit codes: 0,
each gate passed; 1, one did not; 2, there is no revision to look at.
"""

import argparse
import fcntl
import os
import sys
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))

import cells  # noqa: E402, I001 -- says what is missing before another of them needs it
import commits  # noqa: E402
import cost  # noqa: E402
import coverage  # noqa: E402
import form  # noqa: E402
import keep  # noqa: E402
import kselftest  # noqa: E402
import mutants  # noqa: E402
import report  # noqa: E402
import series  # noqa: E402
import uapi  # noqa: E402
import warned  # noqa: E402

# What is cheap comes first: who stops at the first refusal has it soon.
GATES = {gate.NAME: gate for gate in (form, uapi, warned, cost, kselftest, coverage, commits, mutants)}


def passed(gate, revision):
    """The outcome of a gate. What it raised is its outcome too: a gate that can't tell has not passed."""
    begun = time.monotonic()

    def find():
        outcome = gate.check(revision).as_json()
        return {**outcome, "seconds": round(time.monotonic() - begun)}

    try:
        outcome = keep.once(f"gate-{gate.NAME}", [keep.code(gate), *gate.inputs(revision)], find,
                            good=lambda found: not found["problems"])
    except keep.Refused as error:
        outcome = keep.Outcome(problems=[f"no answer: {error}"]).as_json()
    except Exception as error:  # the gate's own fault, which is no answer either
        at = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(at.filename)}:{at.lineno}"
        outcome = keep.Outcome(problems=[f"no answer: {type(error).__name__} at {where}: {error}"]).as_json()
    if "seconds" not in outcome:
        outcome["seconds"] = round(time.monotonic() - begun)
    return {"gate": gate.NAME, "asks": gate.ASKS, **outcome, "took": round(time.monotonic() - begun, 1)}


def main():
    listed = "\n".join(f"                     {name:9} {gate.ASKS}" for name, gate in GATES.items())
    text = __doc__ % listed
    parser = argparse.ArgumentParser(prog="ci/revision", usage=text.partition("Usage: ")[2], add_help=False)
    parser.add_argument("--stop", action="store_true")
    parser.add_argument("--report", default="target/revision")
    parser.add_argument("gates", nargs="*")
    parser.add_argument("-h", "--help", action="version", version=text.strip())
    asked = parser.parse_args()
    os.chdir(os.path.dirname(os.path.dirname(HERE)))
    unknown = [name for name in asked.gates if name not in GATES]
    if unknown:
        print(f"ci/revision: no gate is called {unknown[0]}: there are {', '.join(GATES)}", file=sys.stderr)
        return 2
    os.makedirs(series.PLACE, exist_ok=True)
    # One at a time: where the patches are laid out is the same for all.
    lock = open(os.path.join(series.PLACE, "lock"), "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("waiting for another run in this folder", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        revision = series.Revision.asked_for()
    except keep.Refused as error:
        print(f"ci/revision: {error}", file=sys.stderr)
        return 2
    print(f"{revision.name}: {len(revision.patches)} patches, hash {revision.hash[:12]}, for {revision.base}")
    rows = []
    for name, gate in GATES.items():
        if asked.gates and name not in asked.gates:
            continue
        row = passed(gate, revision)
        rows.append(row)
        report.say(row)
        # Who stops it, or runs out of time, has what there is.
        report.write(asked.report, revision, rows, len(rows) == len(GATES))
        if row["problems"] and asked.stop:
            break
    complete = len(rows) == len(GATES)
    failed = [row["gate"] for row in rows if row["problems"]]
    print(f"{asked.report}/report.md, .html, .json")
    if failed:
        print(f"not fit to send: {', '.join(failed)}")
        return 1
    print("fit to send" if complete else f"{', '.join(row['gate'] for row in rows)}: passed; others were not run")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
