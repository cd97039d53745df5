# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Faults that are planted in the kernel on purpose, and runs of the suite on it: what ci/plant-faults
and ci/prove-model share. Call it in the repository's root."""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RUNNER = ["ci/with-cargo", "run", "--release", "--quiet", "-p", "qemu-test", "--"]
SUMMARY = "target/qemu-test/latest/summary.json"
# Of the caller's variables, none that leaves tests out.
ENVIRONMENT = dict(os.environ, SERIES="", FILTER="", INIT="")
# One folder, always the same: the runner then rebuilds only what differs from the last fault.
SERIES = os.path.join(ROOT, "target/planted")


def base():
    return os.environ.get("BASE") or "mainline"


def edits(path):
    """(name, file, old text, new text) of each row of a file such as ci/sites.txt."""
    found = []
    with open(path) as rows:
        for line in rows:
            head = re.match(r"\[([\w-]+)\] (\S+)$", line)
            if head:
                found.append([head[1], head[2], "", ""])
            elif line[0] in "-+":
                found[-1][2 + (line[0] == "+")] += line[1:]
            elif line.strip() and line[0] != "#":
                sys.exit(f"{path}: neither a head, -, + nor #: {line.strip()}")
    return found


def edited(rows, name, path, old, new):
    """The file's text with the row's lines in place of those that are there."""
    with open(path) as source:
        text = source.read()
    if text.count(old) != 1:
        sys.exit(f"{rows}: [{name}]: its lines are {text.count(old)} times in {path}, not once")
    return text, text.replace(old, new)


def removal(tree, name, path, old, new, scratch):
    """The diff that takes the site out of the patched tree's file."""
    texts = edited("ci/sites.txt", name, os.path.join(tree, path), old, new)
    for side, content in zip("ab", texts):
        target = os.path.join(scratch, side, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "w") as file:
            file.write(content)
    diff = subprocess.run(["git", "diff", "--no-index", "--no-prefix", f"a/{path}", f"b/{path}"],
                          cwd=scratch, capture_output=True, text=True)
    if diff.returncode != 1:
        sys.exit(f"git diff: {diff.stderr.strip()}")
    return diff.stdout


def sites(wanted):
    """(name, diff) of each site of ci/sites.txt that is wanted; of all if none is named."""
    applied = subprocess.run(RUNNER + ["apply"], env=ENVIRONMENT, capture_output=True, text=True)
    if applied.returncode:
        sys.exit(applied.stderr.strip())
    pristine = re.search("^base tree: (.*)$", applied.stdout, re.M)[1]
    rows = [row for row in edits("ci/sites.txt") if not wanted or row[0] in wanted]
    with tempfile.TemporaryDirectory() as scratch:
        tree = os.path.join(scratch, "tree")
        for path in sorted({row[1] for row in rows}):
            os.makedirs(os.path.dirname(os.path.join(tree, path)), exist_ok=True)
            shutil.copy(os.path.join(pristine, path), os.path.join(tree, path))
        patch_all(f"patches/{base()}", tree)
        # All of them first: a row that fits nothing is said before anything is built.
        return [(row[0], removal(tree, *row, scratch)) for row in rows]


def faults(wanted):
    """(name, diff) of each patch of ci/faults that is wanted, by its name or its number."""
    found = []
    for path in sorted(glob.glob("ci/faults/*.patch")):
        name = os.path.basename(path).removesuffix(".patch")
        if not wanted or name in wanted or name.split("-")[0] in wanted:
            with open(path) as patch:
                found.append((name, patch.read().split("\n\n", 1)[1]))
    return found


def patch_all(series, tree):
    """Applies the series to the files of `tree`; what it does to others is left out."""
    there = [os.path.relpath(os.path.join(top, name), tree)
             for top, _, names in os.walk(tree) for name in names]
    include = [f"--include={path}" for path in there]
    for name in sorted(os.listdir(series)):
        if name.endswith(".patch"):
            subprocess.run(["git", "apply", *include, os.path.join(ROOT, series, name)], cwd=tree,
                           check=True, env=dict(os.environ, GIT_CEILING_DIRECTORIES=os.path.dirname(tree)))


def plant(name, diff):
    """The series with one fault on top of it; gives its folder."""
    shutil.rmtree(SERIES, ignore_errors=True)
    shutil.copytree(f"patches/{base()}", SERIES)
    with open(os.path.join(SERIES, "9999-fault.patch"), "w") as patch:
        patch.write(f"From {'0' * 40} Mon Sep 17 00:00:00 2001\nFrom: nobody <nobody@example.org>\n"
                    f"Date: Thu, 1 Jan 1970 00:00:00 +0000\nSubject: [PATCH] {name}\n\n---\n{diff}-- \n")
    return SERIES


def run(**variables):
    """A run with these variables: its verdict, and what came out otherwise than predicted, by name.
    Without results it is "none, …"."""
    before = os.path.realpath(SUMMARY)
    result = subprocess.run(RUNNER + ["run"], env=dict(ENVIRONMENT, **variables),
                            stdout=subprocess.DEVNULL)
    if os.path.realpath(SUMMARY) == before:
        return f"none, exit code {result.returncode}", []
    with open(SUMMARY) as summary:
        summary = json.load(summary)
    return summary["verdict"], summary["surprises"]
