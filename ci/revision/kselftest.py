# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The kernel's own selftests, on the base and on the tip: no difference but the new tests and the bugs that
the series ends."""

import os

import intree
import keep
import series
import tree

NAME = "kselftest"
ASKS = "the kernel's own selftests come out as on the base, but for what intree.toml explains"
PARTS = ["intree.py", "intree.toml", "intree-init.c", "tree.py", "series.py"]


def inputs(revision):
    keep.need(headers=[("sys/capability.h", "libcap-dev")])
    return [revision.content(), *revision.machine()]


def check(revision):
    found = keep.Outcome()
    try:
        runs = intree.all_runs(os.path.abspath(revision.upto(len(revision.patches))), BASE=revision.listed,
                               KERNEL=revision.kernel)
    except intree.Failed as error:
        raise keep.Refused(str(error)) from None
    differences, found.problems = intree.judged(runs, revision.patches)
    found.tables.append(keep.Table("The kernel's own selftests: exit status, and tests by outcome", [
        "program", "base", "tip", "the base's programs on the tip"], intree.rows(runs)))
    found.tables.append(keep.Table("What differs", ["where", "program", "tests", "base", "there", "why"],
                                   intree.grouped(differences)))
    found.notes += [f"Not run: {row['name']}: {row['why']}" for row in intree.table().get("left_out", [])]
    found.line = f"{len(runs[0])} programs, {len(differences)} differences"
    return found
