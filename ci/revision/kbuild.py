# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The kernel's make, on the one checkout, with a build folder for each way to configure it."""

import collections
import os
import re
import shutil

import keep
import uapi

JOBS = os.environ.get("JOBS") or str(len(os.sched_getaffinity(0)))
# file:line:column: kind: message
SAID = re.compile(r"^(?:\.\./)*(\S+?):(\d+):(?:\d+:)? (warning|error|fatal error): (.*)$")
CROSS = {"arm64": "aarch64-linux-gnu-"}


class Build:
    """A build folder. `more` is for make: CC=clang, W=1."""

    def __init__(self, base, name, arch="x86_64", more=()):
        self.base, self.arch = base, arch
        self.place = os.path.join(base.place, f"build-{name}")
        self.command = ["make", "-C", base.path, f"O={self.place}", f"ARCH={arch}", f"-j{JOBS}", *more]
        if arch in CROSS:
            self.command.append(f"CROSS_COMPILE={CROSS[arch]}")

    def make(self, *words, good=(0,)):
        return keep.run([*self.command, *words], env=uapi.small(), good=good)

    def configure(self, *lines):
        """tinyconfig, what the suite's kernel has, and more lines. An option that can't be had is dropped."""
        shutil.rmtree(self.place, ignore_errors=True)
        os.makedirs(self.place)
        self.make("-s", "tinyconfig")
        self.add(keep.read("qemu/kernel.config"), *([keep.read(f"qemu/arch/{self.arch}.config")]
                 if os.path.exists(f"qemu/arch/{self.arch}.config") else []), *lines)

    def add(self, *lines):
        with open(os.path.join(self.place, ".config"), "a") as file:
            file.write("\n".join(("", *lines, "")))
        self.make("-s", "olddefconfig")

    def value(self, option):
        said = re.search(rf"^CONFIG_{option}=(.*)$", keep.read(os.path.join(self.place, ".config")), re.M)
        return said[1] if said else "n"


def warnings(said):
    """How often each "file: kind: message" is in what make said; lines move, so they are left out."""
    found = collections.Counter()
    for line in said.splitlines():
        match = SAID.match(line)
        if match:
            found[f"{match[1]}: {match[3]}: {match[4]}"] += 1
    return found
