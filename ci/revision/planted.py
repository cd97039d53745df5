# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""What is put into the patched kernel on top of the series: the sources as the series leaves them, and the diff
to what a gate makes of them."""

import os
import shutil
import subprocess
import tempfile

import keep


def patched_files(revision, place):
    """The files of the series, and the Makefiles beside them, with all of it applied, below `place`."""
    paths = {path for patch in revision.patches for path in patch.compiled}
    paths |= {os.path.join(os.path.dirname(path), "Makefile") for path in revision.objects}
    for path in sorted(paths):
        source, target = os.path.join(revision.tree, path), os.path.join(place, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.exists(source):
            shutil.copy(source, target)
    include = [f"--include={path}" for path in sorted(paths)]
    for patch in revision.patches:
        keep.run(["git", "apply", *include, os.path.abspath(patch.path)], cwd=place,
                 env=dict(os.environ, GIT_CEILING_DIRECTORIES=os.path.dirname(place)))
    return sorted(paths)


def patched(revision, path):
    """The text of one of them."""
    with tempfile.TemporaryDirectory() as place:
        patched_files(revision, place)
        return keep.read(os.path.join(place, path))


def diff(texts):
    """As git has it, from {path: (before, after)}."""
    with tempfile.TemporaryDirectory() as scratch:
        for side, which in (("a", 0), ("b", 1)):
            for path, pair in texts.items():
                target = os.path.join(scratch, side, path)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with open(target, "w", errors="surrogateescape") as file:
                    file.write(pair[which])
        done = subprocess.run(["git", "diff", "--no-index", "--no-prefix", "a", "b"], cwd=scratch,
                              capture_output=True, text=True, errors="surrogateescape", check=False)
        if done.returncode != 1:
            raise keep.Refused(f"git diff: {done.stderr.strip() or 'nothing differs'}")
        return done.stdout
