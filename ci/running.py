# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""A run of the suite by the runner, and what it left: what ci/harder-kernels and ci/matrix share. Call it
in the repository's root."""

import json
import os
import re
import subprocess
import time

RUNNER = ["ci/with-cargo", "run", "--release", "--quiet", "-p", "qemu-test", "--", "run"]
# Of the caller's variables, none that leaves tests out or changes the machine.
CLEARED = dict(FILTER="", INIT="", CPUS="", MEMORY="", APPEND="")


class Run:
    """One run, over: `summary` is none if it did not come so far, and `words` say why."""

    def __init__(self, **variables):
        begun = time.time()
        env = {**os.environ, **CLEARED, **variables}
        done = subprocess.run(RUNNER, env=env, capture_output=True, text=True, check=False)
        self.code, self.seconds = done.returncode, time.time() - begun
        folder = re.search(r"^results +(\S+)$", done.stdout, re.M)
        self.folder, self.summary = folder and folder[1], None
        said = (done.stderr or done.stdout).strip().splitlines()
        self.words = said[-1] if said else f"the runner ended with {done.returncode}"
        if self.folder:
            with open(os.path.join(self.folder, "summary.json")) as file:
                self.summary = json.load(file)

    @property
    def boot(self):
        """Seconds in the guest."""
        return self.summary["ms"].get("boot", 0) / 1000

    @property
    def build(self):
        """All other seconds."""
        return self.seconds - self.boot
