#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Checks what needs no kernel of the gates: how a series is read, and what each rule takes and refuses."""

import os
import subprocess
import sys
import tempfile
import types
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]

import commits  # noqa: E402
import cost_table  # noqa: E402
import coverage  # noqa: E402
import form  # noqa: E402
import kbuild  # noqa: E402
import keep  # noqa: E402
import series  # noqa: E402

MAIL = """From 0000 Mon Sep 17 00:00:00 2001
From: A Author <a@example.org>
Subject: [PATCH {number}/2] mm/memfd: a subject
 that goes on

Why.

Signed-off-by: A Author <a@example.org>
---
 below

diff --git a/mm/memfd.c b/mm/memfd.c
index 1111111..2222222 100644
--- a/mm/memfd.c
+++ b/mm/memfd.c
@@ -1 +1 @@
-a
+b
--{blank}
2.39.5
"""


def mail(number, **changed):
    text = MAIL.format(number=number, blank=" ")
    for old, new in changed.get("swap", {}).items():
        text = text.replace(old, new)
    return text


def patch(folder, number=1, **changed):
    path = os.path.join(folder, f"{number:04}-x.patch")
    with open(path, "w") as file:
        file.write(mail(number, **changed))
    return series.Patch.read(path, number)


class Reading(unittest.TestCase):
    def setUp(self):
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.addCleanup(os.chdir, os.getcwd())
        self.folder = place.name
        os.chdir(self.folder)

    def test_a_mail(self):
        one = patch(self.folder)
        self.assertEqual(one.subject, "[PATCH 1/2] mm/memfd: a subject that goes on")
        self.assertEqual((one.files, one.compiled), (["mm/memfd.c"], ["mm/memfd.c"]))
        self.assertTrue(one.diff.startswith("diff --git") and one.diff.endswith("+b\n"), one.diff)
        self.assertNotIn("below", one.message)

    def test_an_mbox_in_any_order_with_replies(self):
        cover = mail(0).partition("diff --git")[0]
        reply = mail(1, swap={"Subject: [PATCH": "Subject: Re: [PATCH"})
        with open("box", "w") as box:
            box.write("\n".join([mail(2), reply, cover, mail(1)]))
        place, _ = series.fetched("box", "", "series")
        self.assertEqual([os.path.basename(path) for path in series.numbered(place)],
                         ["0001-mail.patch", "0002-mail.patch"])
        self.assertTrue(series.covered(place).endswith(series.COVER))
        with open("box", "w") as box:
            box.write("\n".join([mail(1), mail(1), mail(2)]))
        with self.assertRaisesRegex(keep.Refused, "two mails with the number 1"):
            series.fetched("box", "", "series")
        with open("box", "w") as box:
            box.write("\n".join([mail(1), mail(2)]))
        place, _ = series.fetched("box", "", "series")
        self.assertEqual((len(series.numbered(place)), series.covered(place)), (2, None))

    def test_an_mbox_of_an_encoded_mail(self):
        text = mail(1, swap={"Why.": "Wh=C3=BD: a =3D b.", "\n+b": "\n+b =3D 1;",
                             "Subject:": "Content-Transfer-Encoding: quoted-printable\nContent-Type: text/plain;"
                                         " charset=UTF-8\nSubject:"})
        with open("box", "w") as box:
            box.write(text)
        with self.assertRaisesRegex(keep.Refused, "box is quoted-printable"):
            series.Patch.read("box", 1)
        place, _ = series.fetched("box", "", "series")
        one = series.Patch.read(series.numbered(place)[0], 1)
        self.assertEqual(one.subject, "[PATCH 1/2] mm/memfd: a subject that goes on")
        self.assertIn("Wh\u00fd: a = b.", one.message)
        self.assertTrue(one.diff.endswith("\n+b = 1;\n"), one.diff)

    def test_a_mail_of_anothers_patch(self):
        one = patch(self.folder, swap={"Why.": "From: B <b@example.org>\n\nWhy."})
        self.assertEqual((one.author, one.message[:4]), ("B <b@example.org>", "Why."))

    def test_a_folder_of_a_later_revision(self):
        for name in ("v2-0000-cover-letter.patch", "v2-0001-x.patch", "v2-0002-y.patch"):
            open(name, "w").close()
        self.assertEqual([os.path.basename(path) for path in series.numbered(".")],
                         ["v2-0001-x.patch", "v2-0002-y.patch"])
        self.assertEqual(series.covered("."), "./v2-0000-cover-letter.patch")

    def test_a_range(self):
        def git(*words):
            done = subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=n@example.org", *words],
                                  cwd="tree", check=True, capture_output=True, text=True)
            return done.stdout.strip()

        os.mkdir("tree")
        git("init", "-q")
        for text in "abc":
            with open("tree/file", "w") as file:
                file.write(text)
            git("add", "file")
            git("commit", "-q", "-m", text)
        place, kernel = series.fetched("HEAD~2..HEAD", "tree", "series")
        self.assertEqual(len(series.numbered(place)), 2)
        self.assertIn("*** BLURB HERE ***", keep.read(series.covered(place)))
        said = subprocess.run(["git", "-C", kernel, "log", "--format=%s"], capture_output=True, text=True, check=True)
        self.assertEqual(said.stdout, "a\n")

    def test_nothing(self):
        with self.assertRaisesRegex(keep.Refused, "SERIES=x is no folder, no mbox"):
            series.fetched("x", "", "series")


class Form(Reading):
    def revision(self, *patches, cover=None):
        path = None
        if cover:
            path = os.path.join(self.folder, series.COVER)
            with open(path, "w") as file:
                file.write(cover)
        return types.SimpleNamespace(patches=patches, cover=path, kernel="", history="", folder=self.folder)

    def test_signed(self):
        self.assertEqual(form.signed(patch(self.folder)), [])
        for swap in ({"Signed-off-by": "Acked-by"}, {"by: A Author <a@": "by: B <b@"}):
            self.assertTrue(form.signed(patch(self.folder, swap=swap)), swap)

    def test_numbering(self):
        good = self.revision(patch(self.folder, 1), patch(self.folder, 2))
        self.assertEqual(form.numbering(good), [])
        self.assertTrue(form.numbering(self.revision(patch(self.folder, 1))))
        for head, good in (("PATCH mm-unstable v2 ", True), ("PATCH v2 mm-unstable ", True), ("RFC PATCH ", True),
                           ("PATCH RESEND ", True), ("PATH ", False)):
            both = [patch(self.folder, number, swap={"PATCH ": head}) for number in (1, 2)]
            self.assertEqual(form.numbering(self.revision(*both)) == [], good, head)
        mixed = patch(self.folder, 1, swap={"PATCH ": "PATCH v2 "}), patch(self.folder, 2, swap={"PATCH ": "PATCH v3 "})
        self.assertTrue(form.numbering(self.revision(*mixed)))

    def test_prefix(self):
        nothing = self.revision()
        self.assertEqual(form.prefixed(nothing, None, patch(self.folder)), [])
        self.assertTrue(form.prefixed(nothing, None, patch(self.folder, swap={"mm/memfd: ": "memfd fix: "})))

    def test_fixes(self):
        for line, good in (('Fixes: 0123456789ab ("x: y")', True), ('Fixes: 0123456 ("x: y")', False),
                           ("fixes: 0123456789ab", False), ("This fixes what was", True),
                           ('Fixes : 0123456789ab ("x: y")', False), ('Fixes 0123456789ab ("x: y")', True)):
            one = patch(self.folder, swap={"Why.": f"Why.\n\n{line}"})
            self.assertEqual(form.fixes(self.revision(), one) == [], good, line)

    def test_cover(self):
        two = patch(self.folder, 1), patch(self.folder, 2)
        for text, good in ((None, False), ("Subject: [PATCH 0/2] x", True), ("Subject: [PATCH v2 0/2] x", False),
                           ("Subject: [PATCH v2 0/2] x\n\nChanges since v1:", True),
                           ("Subject: x\n\n*** BLURB HERE ***", False), ("Subject: *** SUBJECT HERE ***", False)):
            self.assertEqual(form.cover(self.revision(*two, cover=text)) == [], good, text)

    def test_recipients(self):
        one = patch(self.folder, swap={"Why.": "Why.\n\nCc: <c@example.org>"})
        cover = "To: T <t@example.org>,\n u@example.org\nSubject: x\n\nnobody@example.org"
        self.assertEqual(form.recipients(self.revision(one, cover=cover)),
                         {"t@example.org", "u@example.org", "c@example.org"})


class Counting(unittest.TestCase):
    def test_warnings(self):
        said = "../mm/a.c:5:3: warning: x [-Wy]\nmm/a.c:9:1: warning: x [-Wy]\nmm/a.c:1: error: z\nmake: a:1: b\n"
        self.assertEqual(kbuild.warnings(said), {"mm/a.c: warning: x [-Wy]": 2, "mm/a.c: error: z": 1})

    def test_what_may_cost_more(self):
        def refused(operation, kind, stock, patched):
            row = cost_table.Row(operation, kind, stock, patched, round(patched / stock, 3))
            return bool(cost_table.problems([row]))

        self.assertFalse(refused("write-present", "shmem", 900.0, 900.0))
        self.assertTrue(refused("write-present", "shmem", 900.0, 902.0))
        self.assertFalse(refused("mmap-shared", "shmem", 7900.0, 7901.0))
        # 1.000, and yet one more branch.
        self.assertTrue(refused("fault-private", "hugetlb", 800000.0, 800003.0))
        self.assertTrue(refused("read", "shmem", 900.0, 890.0))
        self.assertFalse(refused("ftruncate-same", "shmem", 400.0, 402.0))
        self.assertTrue(refused("ftruncate-same", "shmem", 400.0, 404.0))
        self.assertTrue(cost_table.problems([]))

    def test_gcov(self):
        source, lines = coverage.parsed("        -:    0:Source:/x/mm/memfd.c\n        -:    1:/* */\n"
                                        "       3*:    2:\tif (a)\nbranch  0 taken 3\nbranch  1 taken 0 (fallthrough)\n"
                                        "    #####:    3:\t\tb();\nbranch  0 never executed\n")
        self.assertEqual(source, "/x/mm/memfd.c")
        self.assertEqual({at: line[:2] for at, line in lines.items()},
                         {1: (None, []), 2: (3, [True, False]), 3: (0, [False])})

    def test_what_a_commit_may_change(self):
        quiet = types.SimpleNamespace(message="No functional change.", files=["mm/a.c"])
        fix = types.SimpleNamespace(message='Fixes: 0123456789ab ("x")', files=["mm/a.c"])
        plain = types.SimpleNamespace(message="", files=["mm/a.c"])
        docs = types.SimpleNamespace(message="", files=["Documentation/a.rst"])
        for one, moves, good in (
                (quiet, {}, True), (quiet, {("fail", "pass"): ["a"]}, False), (docs, {("skip", "pass"): ["a"]}, False),
                (fix, {}, False), (fix, {("fail", "pass"): ["a"]}, True), (plain, {("pass", "fail"): ["a"]}, False),
                (plain, {("skip", "fail"): ["a"]}, True), (plain, {("pass", "skip"): ["a"]}, False),
                (plain, {("fail", "skip"): ["a"], (None, "pass"): ["b"]}, True)):
            self.assertEqual(not list(commits.broken(one, moves)), good, (one, moves))


if __name__ == "__main__":
    unittest.main()
