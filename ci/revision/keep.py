# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""What was found once, kept by a hash of all that decides it; and the shape of what a gate finds."""

import dataclasses
import hashlib
import json
import os
import re
import shutil
import subprocess

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),
                     "fs-write-seal", "revision")


class Refused(Exception):
    """The line that says why there is no answer, and what to do."""


@dataclasses.dataclass
class Table:
    title: str
    head: list
    rows: list


@dataclasses.dataclass
class Outcome:
    """What a gate found: it passes if there is no problem."""
    problems: list = dataclasses.field(default_factory=list)
    tables: list = dataclasses.field(default_factory=list)
    # What a reader should know although it is no problem; a text of several lines is shown as it is.
    notes: list = dataclasses.field(default_factory=list)
    line: str = ""

    def as_json(self):
        return dataclasses.asdict(self)


def digest(parts):
    """Of strings, each followed by its length."""
    sha = hashlib.sha256()
    for part in parts:
        data = str(part).encode(errors="surrogateescape")
        sha.update(data + len(data).to_bytes(8, "little"))
    return sha.hexdigest()


def code(module):
    """The text of a gate, and of what it says is part of it."""
    here = os.path.dirname(os.path.abspath(__file__))
    files = [module.__file__, __file__, *(os.path.join(here, name) for name in getattr(module, "PARTS", []))]
    return digest(read(path) for path in files)


def read(path):
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def once(kind, parts, find, good=lambda found: True):
    """What `find` gives, from what is kept if these parts have been asked before and it was good."""
    path = os.path.join(CACHE, f"{kind}-{digest(parts)[:32]}.json")
    try:
        return json.loads(read(path))
    except (OSError, ValueError):
        pass
    found = find()
    if good(found):
        os.makedirs(CACHE, exist_ok=True)
        with open(path + ".part", "w", encoding="utf-8", errors="surrogateescape") as file:
            json.dump(found, file)
        os.replace(path + ".part", path)
    return found


def run(command, cwd=None, env=None, good=(0,), **more):
    """A command's output, both streams. Refuses an end that is not good."""
    done = subprocess.run(command, cwd=cwd, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", check=False, **more)
    if good and done.returncode not in good:
        lines = done.stdout.strip().splitlines()
        # What make says of its own end comes last, and says nothing.
        said = "; ".join([line for line in lines if not re.search(r"\*\*\* .*Error \d", line)][-3:] or lines[-1:])
        words = [str(word) for word in command if "=" not in str(word) and word != "-c"]
        raise Refused(f"{' '.join(words)[:120]}: ended with {done.returncode}: {said}")
    return done.stdout


def need(headers=(), **packages):
    """Programs, each with Debian's package, and headers: (name, package). As root, or with sudo that asks for
    no password, what is missing is installed after saying so."""
    def lacking():
        return sorted({package for program, package in packages.items()
                       if not shutil.which(program.replace("_", "-"))}
                      | {package for name, package in headers if not os.path.exists(f"/usr/include/{name}")})

    missing = lacking()
    if not missing:
        return
    root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if shutil.which("apt-get"):
        print(f"installing {' '.join(missing)}", flush=True)
        env = dict(os.environ, DEBIAN_FRONTEND="noninteractive")
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing]
        for command in (["apt-get", "update", "-qq"], install):
            subprocess.run([*root, *command], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                           check=False)
    if missing := lacking():
        raise Refused(f"tools are missing: install {' '.join(missing)}")
