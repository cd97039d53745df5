# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Every commit builds and boots, and the suite comes out on it as the commit promises: what it ends fails
before it and passes from it on, and nothing that passed fails."""

import re

import keep
import series

NAME = "commits"
ASKS = "every commit builds, boots, and changes what it says: fails before, passes after"
PARTS = ["series.py"]
# What a patch to these alone may change of the kernel: nothing.
ASIDE = ("tools/", "Documentation/", "MAINTAINERS")
SHOWN = 3


def inputs(revision):
    claims = [f"{series.bare(patch.subject)} {patch.message}" for patch in revision.patches]
    return [revision.content(), *claims, *revision.suite()]


def check(revision):
    found, before, rows = keep.Outcome(), None, []
    for number in range(len(revision.patches) + 1):
        run = suite(revision, number)
        patch = revision.patches[number - 1] if number else None
        name = series.bare(patch.subject) if patch else revision.base
        if run["verdict"] != "pass":
            found.problems.append(f"{number}: {name}: {run['verdict']}: {run['line']}"
                                  + "".join(f"; {test}" for test in run["surprises"][:SHOWN]))
            # What stands on it can't be better.
            break
        moves = changed(before, run["outcomes"]) if before else {}
        if patch:
            found.problems += [f"{number}: {name}: {why}" for why in broken(patch, moves)]
        rows.append([str(number), name, run["verdict"], *(str(run["counts"].get(what, 0))
                     for what in ("pass", "fail", "skip")), said(moves), f"{run['boot']:.0f} s"])
        before = run["outcomes"]
    found.tables.append(keep.Table("The suite on each commit", [
        "", "commit", "verdict", "passed", "failed as known", "skipped", "what changed", "boot"], rows))
    found.line = f"{len(rows)} kernels, {rows[-1][3]} tests pass on the last" if rows else ""
    return found


def suite(revision, number):
    """The suite on the first patches. Kept if there was a verdict, by what these patches do: predictions go
    by their subjects too."""
    def find():
        run = revision.booted(number, KVM="off")
        summary = run.summary
        return {"verdict": summary["verdict"], "line": summary["line"], "counts": summary["counts"],
                "boot": run.boot, "surprises": [f"{row['name']}: {row['got']}" for row in summary["surprises"]],
                "outcomes": {test["name"]: test["outcome"] for test in summary["tests"]}}

    return keep.once("suite", [revision.content(number), *revision.suite(number)], find,
                     good=lambda run: run["verdict"] == "pass")


def changed(before, after):
    """{("fail", "pass"): tests}"""
    moves = {}
    for test, outcome in after.items():
        if before.get(test) != outcome:
            moves.setdefault((before.get(test), outcome), []).append(test)
    return moves


def said(moves):
    return "; ".join(f"{old} to {new}: {len(tests)} ({', '.join(tests[:SHOWN])}{', ...' * (len(tests) > SHOWN)})"
                     for (old, new), tests in sorted(moves.items(), key=str)) or "nothing"


def broken(patch, moves):
    """What a patch may not change; and that one which says that it changes something can be seen to."""
    for (old, new), tests in moves.items():
        # A bug that is known, and that a test comes to with what the patch adds, is foretold in deviations.toml:
        # a failure that is not would be the run's verdict.
        if new != "pass" and (old, new) not in (("fail", "skip"), ("skip", "fail")):
            yield f"{len(tests)} tests go from {old} to {new}: {', '.join(tests[:SHOWN])}"
    fixed = [test for (_, new), tests in moves.items() if new == "pass" for test in tests]
    quiet = all(path.startswith(ASIDE) for path in patch.files)
    if fixed and ("No functional change" in patch.message or quiet):
        yield f"it says that nothing changes, and {len(fixed)} tests pass from it on: {', '.join(fixed[:SHOWN])}"
    if not fixed and not quiet and re.search(r"^Fixes: ", patch.message, re.M):
        yield "it has a Fixes: tag, and no test fails before it and passes after it"
