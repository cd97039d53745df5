# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""A revision: its patches, whatever they come as, and the kernel that they are for."""

import dataclasses
import email
import email.policy
import json
import os
import re
import shutil
import tomllib

import cells
import keep
import running

PLACE = "target/revision"
COVER = "cover-letter.txt"
# As git format-patch calls it, of a later revision too.
COVERS = re.compile(r"(v\d+-)?0000-")


@dataclasses.dataclass(frozen=True)
class Patch:
    """A mail of the series."""
    path: str
    number: int
    subject: str
    author: str
    # The message up to its ---, and the diff.
    message: str
    diff: str

    @property
    def name(self):
        return os.path.basename(self.path)

    @property
    def files(self):
        return re.findall(r"^diff --git a/(\S+) b/", self.diff, re.M)

    @property
    def compiled(self):
        """Those of its files that an object is made of."""
        return [path for path in self.files if path.endswith((".c", ".h", ".S"))
                and not path.startswith(("tools/", "Documentation/", "samples/"))]

    @staticmethod
    def read(path, number):
        text = keep.read(path)
        head, _, rest = text.partition("\n\n")
        head = re.sub(r"\n[ \t]+", " ", head)
        if encoded := re.search(r"^Content-Transfer-Encoding: *(quoted-printable|base64)", head, re.M | re.I):
            raise keep.Refused(f"{path} is {encoded[1]}: give the mails as an mbox, of which each is decoded")
        message, _, below = rest.partition("\n---\n")
        at = re.search(r"^diff --git ", below or rest, re.M)
        diff = re.sub(r"\n-- \n[^\n]*\n*\Z", "\n", (below or rest)[at.start():]) if at else ""
        field = dict(re.findall(r"^(Subject|From): (.*)$", head, re.M))
        # Who sends another's patch begins with its author.
        inner = re.match(r"From: (.*)\n+", message)
        author = inner[1] if inner else field.get("From", "")
        return Patch(path, number, field.get("Subject", ""), author, message[inner.end() if inner else 0:], diff)


def bare(subject):
    """A subject without its [PATCH 1/2]."""
    return re.sub(r"^\[[^\]]*\] *", "", subject)


def numbered(folder):
    return sorted(os.path.join(folder, name) for name in os.listdir(folder)
                  if name.endswith(".patch") and not COVERS.match(name))


def covered(folder):
    """The cover letter of a folder; None if there is none."""
    found = [name for name in sorted(os.listdir(folder)) if name == COVER or COVERS.match(name)]
    return os.path.join(folder, found[0]) if found else None


def fetched(given, kernel, name):
    """A folder with the patches that SERIES= names, and the tree that they are for: of a range, its start."""
    if os.path.isdir(given):
        return given, kernel
    place = os.path.join(PLACE, name)
    shutil.rmtree(place, ignore_errors=True)
    os.makedirs(place)
    if os.path.isfile(given):
        keep.run(["git", "mailsplit", "-b", f"-o{place}", given])
        for mail in sorted(os.path.join(place, found) for found in os.listdir(place)):
            # A thread has replies, too, and its mails may be in any order.
            head = re.search(r"^Subject: \[[^\]]*PATCH[^\]]*?(?:(\d+)/\d+)?\]", keep.read(mail), re.M)
            if not head:
                os.remove(mail)
            else:
                number = int(head[1] or 1)
                path = os.path.join(place, f"{number:04}-mail.patch" if number else COVER)
                if os.path.exists(path):
                    raise keep.Refused(f"SERIES={given} has two mails with the number {number}: "
                                       "leave those of one revision")
                decode(mail)
                os.replace(mail, path)
        return place, kernel
    if kernel and re.fullmatch(r"\S+\.\.\S*", given):
        start = keep.run(["git", "-C", kernel, "rev-parse", "--verify", f"{given.partition('..')[0]}^{{commit}}"])
        start = start.strip()
        keep.run(["git", "-C", kernel, "format-patch", "-q", "--cover-letter", "--cover-from-description=subject",
                  f"--base={start}", "-o", os.path.abspath(place), given])
        clone = os.path.abspath(os.path.join(PLACE, f"{name}-start"))
        shutil.rmtree(clone, ignore_errors=True)
        keep.run(["git", "clone", "-q", "--shared", "--no-checkout", kernel, clone])
        keep.run(["git", "-C", clone, "update-ref", "--no-deref", "HEAD", start])
        return place, clone
    raise keep.Refused(f"SERIES={given} is no folder, no mbox, and without KERNEL= no git range")


def decode(path):
    """Makes a mail that is encoded for its way one whose text can be read, as git am does."""
    with open(path, "rb") as file:
        mail = email.message_from_binary_file(file, policy=email.policy.default)
    if str(mail["Content-Transfer-Encoding"]).lower() not in ("quoted-printable", "base64"):
        return
    heads = [f"{name}: {mail[name]}" for name in ("From", "Date", "Subject", "To", "Cc") if mail[name]]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join([*heads, "Content-Type: text/plain; charset=UTF-8", "", ""])
                   + mail.get_content().replace("\r\n", "\n"))


@dataclasses.dataclass(frozen=True)
class Revision:
    name: str
    folder: str
    cover: str | None
    patches: tuple
    # The folder of patches/ that says which kernel, its tree, what it is: "7.3.4 (Debian ...)", and a hash
    # of what is in it.
    listed: str
    tree: str
    base: str
    id: str
    kernel: str
    # The git tree that KERNEL= is, if it is one: subjects and Fixes: are looked up in it.
    history: str
    previous: str

    @staticmethod
    def asked_for():
        """As the variables say."""
        listed, kernel = os.environ.get("BASE") or "mainline", os.environ.get("KERNEL") or ""
        history = kernel if os.path.exists(os.path.join(kernel, ".git")) else ""
        given = os.environ.get("SERIES") or f"patches/{listed}"
        folder, kernel = fetched(given, kernel, "series")
        paths = numbered(folder)
        if not paths:
            raise keep.Refused(f"SERIES={given} has no patch")
        patches = tuple(Patch.read(path, number) for number, path in enumerate(paths, 1))
        said = keep.run(runner("apply"), env=variables(SERIES="none", BASE=listed, KERNEL=kernel))
        tree = re.search(r"^base tree: (.*)$", said, re.M)
        base = re.search(r"^none: (.*) as it is$", said, re.M)
        identity = re.search(r"^base id: (.*)$", said, re.M)
        if not tree or not base or not identity:
            raise keep.Refused(f"the runner found no base: {said.strip().splitlines()[-1]}")
        return Revision(given, folder, covered(folder), patches, listed, tree[1], base[1],
                        identity[1], kernel, history, os.environ.get("PREVIOUS") or "")

    @property
    def hash(self):
        """Of the patches' bytes: what the report belongs to."""
        return cells.digest(keep.read(patch.path).encode(errors="surrogateescape") for patch in self.patches)

    def content(self, upto=None):
        """Of what the first patches do, whatever their messages say."""
        return keep.digest([self.id, *(patch.diff for patch in self.patches[:upto])])

    def named(self, upto=None):
        """The subjects that predictions go by, of the first patches."""
        text = keep.read("selftests/deviations.toml") + keep.read("ci/revision/intree.toml")
        return [subject for subject in (bare(patch.subject) for patch in self.patches[:upto])
                if f'"{subject}"' in text]

    def machine(self, upto=None):
        """What decides how a program comes out on a kernel of it, but for the two."""
        row = next((row for row in cells.rows() if row["folder"] == self.listed), None)
        qemu = keep.run([os.environ.get("QEMU") or "qemu-system-x86_64", "--version"]).splitlines()[0]
        return [json.dumps(row, sort_keys=True), *self.named(upto), cells.digest(cells.tree(cells.RUNNER)),
                compiler(), qemu]

    def suite(self, upto=None):
        """What decides how the suite comes out, but for the kernel."""
        return [cells.suite_hash(), *self.machine(upto)]

    @property
    def objects(self):
        """Objects of the files that the series changes."""
        found = {path[:-2] + ".o" for patch in self.patches for path in patch.compiled if path.endswith(".c")}
        return sorted(found)

    def upto(self, number, *more):
        """A folder with the first patches, and more on top: (name, diff). The same one every time, so that
        the runner rebuilds only what differs from the last."""
        place = os.path.join(PLACE, "upto")
        shutil.rmtree(place, ignore_errors=True)
        os.makedirs(place)
        for patch in self.patches[:number]:
            shutil.copy(patch.path, os.path.join(place, f"{patch.number:04}.patch"))
        for name, diff in more:
            with open(os.path.join(place, f"9999-{name}.patch"), "w") as file:
                file.write(f"From {'0' * 40} Mon Sep 17 00:00:00 2001\nFrom: nobody <nobody@example.org>\n"
                           f"Date: Thu, 1 Jan 1970 00:00:00 +0000\nSubject: [PATCH] {name}\n\n---\n{diff}-- \n")
        return place if number or more else "none"

    def booted(self, number, *more, **asked):
        """The runner's run of that, with its summary. Refuses one without."""
        run = running.Run(**{"SERIES": self.upto(number, *more), "BASE": self.listed, "KERNEL": self.kernel,
                             "CONFIG": "", "ARCH": "", "ABI": "", "INIT": "", **asked})
        if not run.summary:
            raise keep.Refused(f"a kernel of the first {number} patches: {run.words}")
        return run


def runner(do):
    return [*running.RUNNER[:-1], do]


def variables(**asked):
    return {**os.environ, **running.CLEARED, "CONFIG": "", "ARCH": "", "ABI": "", **asked}


def compiler():
    return keep.run(["gcc", "--version"]).splitlines()[0]


def rules():
    """ci/revision/rules.toml"""
    with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "rules.toml"), "rb") as file:
        return tomllib.load(file)
