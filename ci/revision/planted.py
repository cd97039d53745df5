# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The sources as the series leaves them: what a gate puts its own on top of."""

import os
import shutil

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
