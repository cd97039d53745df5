# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Small errors put mechanically into what the series adds, each of which the suite must notice. One kernel
holds them all, and its command line chooses one."""

import os
import tempfile

import keep
import mutate
import planted
import series

NAME = "mutants"
ASKS = "each small error in an added line is noticed by the suite"
PARTS = ["mutate.py", "operators.py", "masks.py", "statements.py", "planted.py", "mutants.config", "rules.toml",
         "series.py"]
CONFIG = "ci/revision/mutants.config"
# qemu/debug.config, whose checkers see what no test does: memory that is read and is not the file's.
CHECKERS = "debug"
# A kernel that crashes, hangs or complains has been noticed as well; one that does not boot was not tried.
NOTICED = ("fail", "splat", "panic", "hang")
# What a busy host can do to a guest without any mutant: it counts if it comes again.
BY_CHANCE = ("splat", "hang")


def inputs(revision):
    return [revision.content(), *revision.suite(), text_of(CHECKERS)]


def check(revision):
    found = keep.Outcome()
    made, change, left = every(revision)
    first = series.rules()["first"]
    same = {row["key"]: row["why"] for row in series.rules().get("equivalent", [])}
    unused, rows, tally = set(same), [], {}
    if not made:
        raise keep.Refused("no added line of code can be made a mutant of")
    sound(revision, change, "", CONFIG)
    for number, mutant in enumerate(made, 1):
        why, likely = same.get(mutant.key), first.get(mutant.function, "")
        run = tried(revision, change, mutant.id, [likely, ""] if likely else [""], CONFIG)
        if run["verdict"] == "pass" and not why:
            sound(revision, change, likely, CHECKERS)
            run = tried(revision, change, mutant.id, [likely], CHECKERS)
        noticed = run["verdict"] in NOTICED
        print(f"  {number} of {len(made)}: {mutant.key}: {run['by'] if noticed else 'SURVIVES'}", flush=True)
        unused.discard(mutant.key)
        count = tally.setdefault(mutant.operator, [0, 0, 0, 0])
        count[0] += 1
        count[1 if noticed else 2 if why else 3] += 1
        if noticed and why:
            found.problems.append(f"called equivalent, and the suite notices it: {mutant.key}: {run['by']}")
        if run["verdict"] not in (*NOTICED, "pass"):
            found.problems.append(f"not tried: {mutant.key}: {run['line']}")
        elif not noticed and not why:
            found.problems.append(f"survives: {mutant.key} ({mutant.file}:{mutant.line})")
        rows.append([str(mutant.patch), f"{mutant.file}:{mutant.line}", mutant.operator,
                     f"{mutant.before} → {mutant.after}", run["by"] if noticed else why or "SURVIVES"])
    found.problems += [f"ci/revision/rules.toml explains a mutant that is not made: {key}" for key in sorted(unused)]
    total = [sum(column) for column in zip(*tally.values())]
    found.tables.append(keep.Table("Mutants by operator", [
        "operator", "made", "noticed", "equivalent", "surviving"],
        [[name, *map(str, count)] for name, count in sorted(tally.items())] + [["all", *map(str, total)]]))
    found.tables.append(keep.Table("Each mutant", ["patch", "place", "operator", "what", "noticed by, or why not"],
                                   rows))
    found.tables.append(keep.Table("Added lines without a mutant", ["line", "code", "why"], [
        [f"{one.file}:{one.line}", one.text, one.why] for one in left]))
    found.line = f"{total[0]} made, {total[1]} noticed, {total[2]} equivalent, {total[3]} surviving"
    return found


def every(revision):
    """The mutants, the diff that brings them all, and what is left out with why."""
    with tempfile.TemporaryDirectory() as place:
        planted.patched_files(revision, place)
        made, texts, left = mutate.mutants([patch.path for patch in revision.patches], place)
        return made, mutate.diff(place, texts), left


def sound(revision, change, tests, config):
    """With none chosen all is well: what is noticed later is the mutant, not what carries it."""
    none = tried(revision, change, 0, [tests], config)
    if none["verdict"] != "pass":
        raise keep.Refused(f"the kernel of the mutants, with none chosen: {none['line']}")


def tried(revision, change, number, filters, config):
    """The suite with one mutant, up to the first test that notices it; of the filters each is tried until then.
    Kept by what the kernel is."""
    def booted(tests):
        return revision.booted(len(revision.patches), ("mutants", change), CONFIG=config, KVM="off",
                               FILTER=tests, APPEND=f"memfd_mutant={number}")

    def find():
        for tests in filters:
            run = booted(tests)
            if run.summary["verdict"] in BY_CHANCE:
                run = booted(tests)
            if run.summary["verdict"] in NOTICED:
                break
        summary = run.summary
        wrong = [row for row in summary["surprises"] if row["got"] not in (None, "skip")]
        by = f"{wrong[0]['name']}: {wrong[0]['got']}" if wrong else summary["line"]
        return {"verdict": summary["verdict"], "line": summary["line"], "by": by, "boot": run.boot}

    return keep.once("mutant", [revision.content(), change, number, *filters, *revision.suite(), text_of(config)],
                     find, good=lambda run: run["verdict"] in (*NOTICED, "pass"))


def text_of(config):
    return keep.read(config if os.path.exists(config) else f"qemu/{config}.config")
