# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The base as a git repository, and the series in it by plain `git am`, a commit a patch. There is one
checkout, which is brought to any of them, so that make rebuilds only what differs."""

import fcntl
import functools
import glob
import os
import shutil

import keep

NOBODY = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org", "-c", "commit.gpgsign=false",
          "-c", "core.looseCompression=1", "-c", "gc.auto=0"]


class DoesNotApply(keep.Refused):
    """git am took no further patch."""


@functools.cache
def of(revision):
    """The one of this process."""
    return Tree(revision)


class Tree:
    """Commits are tags: k0 is the base, k3 has the first three patches."""

    def __init__(self, revision):
        self.revision = revision
        self.place = os.path.join(keep.CACHE, f"tree-{keep.digest([revision.id, revision.tree])[:16]}")
        self.path = os.path.join(self.place, "linux")
        os.makedirs(keep.CACHE, exist_ok=True)
        # Held until the process ends: there is one checkout.
        self.lock = open(f"{self.place}.lock", "w")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        if not os.path.isdir(self.place):
            self.forget()
            self.begin()
        os.utime(self.place)

    @staticmethod
    def forget():
        """Keeps of the others, 2.5 GB each, the one that was used last."""
        others = [path for path in glob.glob(os.path.join(keep.CACHE, "tree-*")) if os.path.isdir(path)]
        for old in sorted(others, key=os.path.getmtime)[:-1]:
            with open(f"{old.removesuffix('.part')}.lock", "w") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                shutil.rmtree(old, ignore_errors=True)

    def begin(self):
        part = self.place + ".part"
        shutil.rmtree(part, ignore_errors=True)
        os.makedirs(part)
        path = os.path.join(part, "linux")
        keep.run(["cp", "-a", "--reflink=auto", self.revision.tree, path])
        shutil.rmtree(os.path.join(path, ".git"), ignore_errors=True)
        for words in (["init", "-q", "-b", "base"], ["add", "-A", "-f"], ["commit", "-q", "-m", "base"],
                      ["tag", "k0"]):
            keep.run(["git", *NOBODY, *words], cwd=path)
        os.rename(part, self.place)

    def git(self, *words, good=(0,)):
        env = dict(os.environ, GIT_CEILING_DIRECTORIES=self.place, GIT_CONFIG_GLOBAL="/dev/null")
        return keep.run(["git", *NOBODY, *words], cwd=self.path, env=env, good=good)

    def am(self, patches, prefix="k"):
        """Tags each patch's commit; does nothing if they are there. Raises DoesNotApply."""
        mark = os.path.join(self.place, f"{prefix}.applied")
        want = keep.digest(keep.read(patch.path) for patch in patches)
        if os.path.exists(mark) and keep.read(mark) == want:
            return
        if os.path.exists(mark):
            os.remove(mark)
        self.git("am", "--abort", good=None)
        self.git("checkout", "-q", "-f", "k0")
        self.git("clean", "-q", "-fd")
        for number, patch in enumerate(patches, 1):
            try:
                self.git("am", "-q", "--no-3way", os.path.abspath(patch.path))
            except keep.Refused as error:
                self.git("am", "--abort", good=None)
                raise DoesNotApply(f"{patch.name} does not apply by plain git am: {error}") from None
            self.git("tag", "-f", f"{prefix}{number}")
        with open(mark, "w") as file:
            file.write(want)

    def checkout(self, number):
        """The files of the first patches; gives the folder."""
        self.am(self.revision.patches)
        self.git("checkout", "-q", "-f", f"k{number}")
        return self.path

    def show(self, number, path):
        """A file as it is then; None if there is none."""
        try:
            return self.git("show", f"k{number}:{path}")
        except keep.Refused:
            return None

    def blob(self, number, path):
        """Its git object; empty if there is none."""
        return self.git("rev-parse", "-q", "--verify", f"k{number}:{path}", good=None).strip()
