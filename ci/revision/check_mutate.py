#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Checks ci/revision/mutate.py: what each operator makes of a few lines of C, and what is made of
patches/mainline. The latter needs the kernel that a run of `make qemu-test` has fetched."""

import difflib
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
import cells  # noqa: E402
import mutate  # noqa: E402
import planting  # noqa: E402

CACHE = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "fs-write-seal")
END = "return error;"
HEADER = "#ifndef M\n#define M\n\n#include <linux/file.h>\n\n#endif\n"
FILE = "mm/some.c"
FRAME = ("#include <linux/fs.h>\n\n{above}static {returns} f(struct inode *inode, int a)\n"
         "{{\n\tint error = 0;\n\n{body}}}\n")


def write(folder, texts):
    for path, text in texts.items():
        os.makedirs(os.path.dirname(os.path.join(folder, path)), exist_ok=True)
        with open(os.path.join(folder, path), "w", encoding="utf-8") as file:
            file.write(text)


def body(lines, returns="int", above=""):
    """A file with a function of these lines."""
    lines = "".join(f"\t{line}\n" for line in lines.splitlines())
    return FRAME.format(returns=returns, above=above, body=lines)


def unmutated(text, chosen=0):
    """The text as it is for the compiler when this number is chosen: what MUTANT() guards is left out, or
    taken."""
    def close(at):
        depth = 0
        for place in range(at, len(text)):
            depth += (text[place] in "({") - (text[place] in ")}")
            if not depth:
                return place
        raise AssertionError("no end")

    while found := re.search(r"\(MUTANT\((\d+)\) \? \(", text):
        new = found.end() - 1
        other = text.index("(", close(new))
        end = close(other) + 2
        taken = text[new + 1:close(new)] if int(found[1]) == chosen else text[other + 1:close(other)]
        text = text[:found.start()] + taken + text[end:]
    saw = "memfd_mutant_saw"
    text = re.sub(rf"\(\{{ bool {saw}; (.*?){saw} = (.*?); if (.*?) {saw}; \}}\)",
                  lambda found: found[0] if f"MUTANT({chosen})" in found[3] else found[2],
                  text, flags=re.S)
    while found := re.search(r"\{ if \(!MUTANT\((\d+)\)\) ([^;{}]*;|) \}", text):
        text = text[:found.start()] + found[2] * (int(found[1]) != chosen) + text[found.end():]
    text = re.sub(r"\{ (.*;) if \(MUTANT\((\d+)\)\) \{ (.*) \} \}",
                  lambda found: found[1] + f" {found[3]}" * (int(found[2]) == chosen), text)
    return re.sub(r"\{ if \(MUTANT\((\d+)\)\) \{ (.*) \} (.*;) \}",
                  lambda found: f"{found[2]} " * (int(found[1]) == chosen) + found[3], text)


class Tree(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.tree, self.patches = os.path.join(self.folder, "tree"), []
        self.base = {mutate.HEADER: HEADER, mutate.CHOOSER: "#include <linux/memfd.h>\n"}

    def patch(self, before, after, subject="[PATCH] a patch", path=FILE):
        lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), f"a/{path}",
                                     f"b/{path}")
        self.patches.append(os.path.join(self.folder, f"{len(self.patches)}.patch"))
        write(self.folder, {self.patches[-1]: f"Subject: {subject}\n\n---\ndiff --git a/{path} b/{path}\n"
                                              + "".join(lines) + "-- \n2.47\n"})
        write(self.tree, {**self.base, path: after})

    def made(self, after, before="", **more):
        """(operator, before, after) of what is made of the lines that one function has after, not before."""
        self.patch(body(before, **more), body(after, **more))
        self.found, self.texts, self.left = mutate.mutants(self.patches, self.tree)
        for one in self.found:
            self.assertNotEqual(unmutated(self.texts[FILE], one.id), body(after, **more), one)
        text = self.texts.get(FILE, body(after, **more)).replace(mutate.INCLUDE, "")
        self.assertEqual(unmutated(text), body(after, **more))
        return [(one.operator, one.before, one.after) for one in self.found]


class Operators(Tree):
    def test_an_if_is_never_and_always_taken_and_inverted(self):
        self.assertEqual(self.made("if (a)\n\terror = a;\n" + END, END), [
            ("never", "a", "0"), ("always", "a", "1"), ("invert", "a", "!(a)")])
        self.assertIn("if ((MUTANT(1) ? (0) : !!((MUTANT(2) ? (1) : !!((MUTANT(3) ? (!(a)) : !!(a)))))))\n",
                      self.texts[FILE])

    def test_the_branch_alone(self):
        self.assertEqual(self.made("if (a)\n\terror = g(a);\n" + END, "if (a)\n\terror = 1;\n" + END),
                         [("drop", "error = g(a);", "")])
        self.assertIn("\t{ if (!MUTANT(1)) error = g(a); }\n", self.texts[FILE])

    def test_operands(self):
        found = self.made("if (unlikely((a || inode) && !error))\n\terror = a;\n" + END, END)
        self.assertEqual([one for one in found if one[0] == "operand"], [
            ("operand", "(a || inode)", "1"), ("operand", "a", "0"), ("operand", "inode", "0"),
            ("operand", "!error", "1")])

    def test_of_a_condition_only_what_is_added(self):
        lines = "if (a ||\n    {})\n\treturn a;\n" + END
        found = self.made(lines.format("error"), lines.format("inode"))
        self.assertEqual([one for one in found if one[0] == "operand"], [("operand", "error", "0")])
        self.assertEqual([one.line for one in self.found if one.operator == "never"], [8])

    def test_comparisons(self):
        for operator, other in (("<", "<="), ("<=", "<"), (">", ">="), (">=", ">")):
            self.patches = []
            found = self.made(f"if (a {operator} error)\n\terror = a;\n" + END, END)
            self.assertIn(("compare", f"a {operator} error", f"a {other} error"), found)
        self.patches = []
        found = self.made("if (a == 1)\n\treturn a;\nif (a && error != 2)\n\treturn a;\n" + END, END)
        self.assertEqual([one for one in found if one[0] == "compare"],
                         [("compare", "error != 2", "error == 2")])

    def test_errnos(self):
        for errno, other in (("EPERM", "EACCES"), ("EACCES", "EPERM"), ("EBUSY", "EPERM"),
                             ("EINVAL", "EPERM")):
            self.patches = []
            found = self.made(f"if (a)\n\terror = -{errno};\n" + END, "if (a)\n\terror = 1;\n" + END)
            self.assertEqual(found, [("drop", f"error = -{errno};", ""), ("success", f"-{errno}", "0"),
                                     ("errno", f"-{errno}", f"-{other}")])

    def test_an_errno_that_is_only_a_part_is_no_success(self):
        self.assertEqual(self.made("error = g(-EBUSY);\n" + END, END),
                         [("drop", "error = g(-EBUSY);", ""), ("errno", "-EBUSY", "-EPERM")])

    def test_a_variable_without_a_value_is_not_dropped(self):
        lines = "int late;\n{}\nif (a) {{\n\tlate = -EPERM;\n\treturn late;\n}}\n" + END
        before = "int late;\n{}\nif (a) {{\n\treturn late;\n}}\n" + END
        found = self.made(lines.format(";"), before.format(";"))
        self.assertNotIn("drop", [one[0] for one in found])
        self.assertEqual([(left.text, left.why[:11]) for left in self.left],
                         [("late = -EPERM;", "not dropped")])
        self.patches = []
        found = self.made(lines.format("late = 2;"), before.format("late = 2;"))
        self.assertIn(("drop", "late = -EPERM;", ""), found)
        self.patches = []
        self.assertEqual(self.made("int late;\nlate = g(a);\nreturn late;", "int late;\nreturn late;"),
                         [("success", "g(a)", "0")])

    def test_a_jump_after_an_error_is_dropped_but_not_one_alone(self):
        found = self.made("if (a) {\n\terror = -EPERM;\n\tgoto out;\n}\n"
                          "if (inode)\n\tgoto out;\nout:\n" + END, "out:\n" + END)
        self.assertEqual([one for one in found if one[0] == "drop"],
                         [("drop", "error = -EPERM;", ""), ("drop", "goto out;", "")])
        self.assertEqual([(left.line, left.text) for left in self.left], [(12, "goto out;")])

    def test_returns(self):
        self.assertEqual(self.made("return g(a);", "return a;"), [("return", "g(a)", "0")])
        self.patches = []
        self.assertEqual(self.made("if (a) {\n\tg(a);\n\treturn 0;\n}\n" + END,
                                   "if (a) {\n\tg(a);\n}\n" + END),
                         [("return", "0", "-EPERM"), ("drop", "return 0;", "")])
        self.patches = []
        self.assertEqual(self.made("return a & 4;", "return a;", returns="bool"), [
            ("never", "a & 4", "0"), ("always", "a & 4", "1"), ("invert", "a & 4", "!(a & 4)")])
        self.patches = []
        self.assertEqual(self.made("return g(a);", "return a;", returns="char *"),
                         [("return", "g(a)", "NULL")])

    def test_calls_and_read_once(self):
        self.assertEqual(self.made("g(READ_ONCE(*inode), a);\n" + END, END), [
            ("drop", "g(READ_ONCE(*inode), a);", ""), ("once", "READ_ONCE(*inode)", "*inode")])

    def test_what_a_declaration_asks(self):
        self.assertEqual(self.made("int b = a ? 3 : 4;\nint c = g(a);\nchar d = 0;\nint e;\nchar *p = q(a);"),
                         [("never", "a", "0"), ("always", "a", "1"), ("invert", "a", "!(a)"),
                          ("value", "g(a)", "0"), ("value", "0", "1")])
        self.assertEqual([left.text for left in self.left], ["char *p = q(a);"])


class Masks(Tree):
    def masks(self, above, lines="return a;", old=""):
        self.patch(body("return a;", above=old), body(lines, above=above))
        self.found, self.texts, self.left = mutate.mutants(self.patches, self.tree)
        return [(one.operator, one.before, one.after) for one in self.found
                if one.operator in ("narrow", "widen")]

    def test_a_macro_loses_each_seal_and_gains_two(self):
        found = self.masks("#define MASK (F_SEAL_WRITE | \\\n\tF_SEAL_SEAL)\n")
        both = "F_SEAL_WRITE | F_SEAL_SEAL"
        self.assertEqual(found, [("narrow", "F_SEAL_WRITE", "0"), ("widen", both, f"{both} | F_SEAL_EXEC"),
                                 ("narrow", "F_SEAL_SEAL", "0")])
        self.assertEqual({one.function for one in self.found}, {"MASK"})
        self.assertIn("(MUTANT(1) ? (0) : (F_SEAL_WRITE)) | \\\n", self.texts[FILE])

    def test_of_a_macro_only_the_added_lines(self):
        old = "#define MASK (F_SEAL_WRITE | \\\n\tF_SEAL_GROW | F_SEAL_EXEC | F_SEAL_SEAL)\n"
        self.assertEqual(self.masks(old.replace("GROW", "SHRINK"), old=old), [
            ("narrow", "F_SEAL_SHRINK", "0"), ("narrow", "F_SEAL_EXEC", "0"), ("narrow", "F_SEAL_SEAL", "0")])

    def test_where_a_macro_is_used_it_loses_each_of_its_seals(self):
        above = "#define MASK (F_SEAL_WRITE | F_SEAL_EXEC)\n#define BOTH (MASK | F_SEAL_SEAL)\n"
        self.assertEqual(self.masks(above, "return a & BOTH;", above), [
            ("narrow", "BOTH", f"BOTH & ~F_SEAL_{seal}") for seal in ("WRITE", "EXEC", "SEAL")])
        self.patches = []
        self.patch(body("return a & (F_SEAL_GROW |\n\tF_SEAL_SEAL);", above=above),
                   body("return a & (F_SEAL_GROW |\n\tBOTH);", above=above))
        found = mutate.mutants(self.patches, self.tree)[0]
        self.assertEqual([one.after[-11:] for one in found if one.operator == "narrow"],
                         ["_SEAL_WRITE", "F_SEAL_EXEC", "F_SEAL_SEAL"])

    def test_a_single_seal_is_only_widened(self):
        self.assertEqual(self.masks("", "if (a & F_SEAL_GROW)\n\treturn 0;\nreturn a;"), [
            ("widen", "F_SEAL_GROW", f"F_SEAL_GROW | F_SEAL_{seal}") for seal in ("EXEC", "SEAL")])

    def test_a_macro_that_must_be_constant_is_left(self):
        define = "#define MASK F_SEAL_WRITE\n"
        for use in ("static int mask = MASK;\n", "#if MASK\n#endif\n",
                    "#define MORE (MASK | 1)\nint x = MORE;\n"):
            self.patches = []
            self.assertEqual(self.masks(define + use, old=use), [], use)
            self.assertEqual([left.why[:18] for left in self.left], ["must be a constant"])
        for use in ("BUILD_BUG_ON(MASK);", "switch (a) {\ncase MASK:\n\tg(a);\n}", "static int b = MASK;"):
            self.patches = []
            self.patch(body(use), body(use, above=define))
            self.assertEqual(mutate.mutants(self.patches, self.tree)[0], [], use)

    def test_the_abi_is_left(self):
        self.patch("#define A 1\n", "#define A 1\n#define F_SEAL_NEW 0x40\n",
                   path="include/uapi/linux/fcntl.h")
        found, _, left = mutate.mutants(self.patches, self.tree)
        self.assertEqual((found, [(one.line, one.why) for one in left]), ([], [(2, "a value of the ABI")]))


class Locks(Tree):
    LOCKED = "{}if (a)\n\terror = -EPERM;\ng(a);\n{}" + END

    def locks(self, after, before):
        return [one for one in self.made(after, before)
                if one[0] in ("unlocked", "late-lock", "early-unlock", "gap", "drop")]

    def test_a_pair_is_removed_and_each_end_is_moved(self):
        after = self.LOCKED.format("inode_lock(inode);\n", "inode_unlock(inode);\n")
        self.assertEqual(self.locks(after, self.LOCKED.format("", "")), [
            ("unlocked", "inode_lock(inode);", ""),
            ("late-lock", "inode_lock(inode); if (a)", "if (a) inode_lock(inode);"),
            ("early-unlock", "g(a); inode_unlock(inode);", "inode_unlock(inode); g(a);")])
        text = self.texts[FILE]
        self.assertEqual(text.count("if (!MUTANT(1))"), 2)
        self.assertIn("if (({ bool memfd_mutant_saw; memfd_mutant_saw = a; if (MUTANT(2)) { udelay(20); "
                      "inode_lock(inode); } memfd_mutant_saw; }))\n", text)
        self.assertIn("{ if (MUTANT(3)) { inode_unlock(inode); udelay(20); } g(a); }\n", text)

    def test_late_after_a_statement(self):
        found = self.locks("mutex_lock(m);\nh(a);\ng(a);\nmutex_unlock(m);\n" + END, "h(a);\ng(a);\n" + END)
        self.assertIn(("late-lock", "mutex_lock(m); h(a);", "h(a); mutex_lock(m);"), found)
        self.assertIn("{ h(a); if (MUTANT(2)) { udelay(20); mutex_lock(m); } }\n", self.texts[FILE])

    def test_not_past_a_label_or_a_jump(self):
        found = self.locks("inode_lock(inode);\ngoto out;\ng(a);\nout:\ninode_unlock(inode);\n" + END,
                           "goto out;\ng(a);\nout:\n" + END)
        self.assertEqual(found, [("unlocked", "inode_lock(inode);", "")])
        self.patches = []
        found = self.locks("inode_lock(inode);\nagain:\nh(a);\ninode_unlock(inode);\n" + END,
                           "again:\nh(a);\n" + END)
        self.assertEqual([one[0] for one in found], ["unlocked", "early-unlock"])

    def test_what_is_added_under_a_lock_is_asked_without(self):
        around = "inode_lock(inode);\n{}h(a);\n{}inode_unlock(inode);\n{}" + END
        check = "if (a) {\n\tg(a);\n\th(a);\n}\n"
        for at, operator in ((0, "late-lock"), (1, "gap"), (2, None)):
            self.patches = []
            places = [""] * 3
            places[at] = check
            found = self.locks(around.format(*places), around.format("", "", ""))
            self.assertEqual([one[0] for one in found if one[0] != "drop"], [operator] if operator else [])
        self.patches = []
        self.locks(around.format("", check, ""), around.format("", "", ""))
        self.assertIn("({ bool memfd_mutant_saw; if (MUTANT(4)) inode_unlock(inode); memfd_mutant_saw = a; "
                      "if (MUTANT(4)) { udelay(20); inode_lock(inode); } memfd_mutant_saw; })", self.texts[FILE])

    def test_a_lock_alone_is_refused(self):
        with self.assertRaisesRegex(ValueError, "mm/some.c:7: a lock that the function does not release"):
            self.made("inode_lock(inode);\n" + END, END)


class Lines(Tree):
    def test_what_runs_nothing_has_none(self):
        self.assertEqual(self.made("/* if (a) */\n\nint late, later;\n{\n}\nout:\n" + END, END), [])
        self.assertEqual(self.left, [])

    def test_what_is_not_understood_is_refused(self):
        for line in ("for (;;)\n\tg(a);", "asm volatile (\"\" : : );", "guard(mutex)(m);",
                     "XA_STATE(xas, m, 0);", "do {\n} while (a);", "spin_lock_irqsave(m, a);",
                     "switch (a) {\n}", "break;", "list_for_each(a, b) {\n}"):
            self.patches = []
            with self.assertRaisesRegex(ValueError, r"^mm/some\.c:7: "):
                self.made(line + "\n" + END, END)
        self.patches = []
        with self.assertRaisesRegex(ValueError, r"^mm/some\.c:3: "):
            self.patch(body("return a;"), body("return a;", above="static int x = 3;\n"))
            mutate.mutants(self.patches, self.tree)
        with self.assertRaisesRegex(ValueError, r"^mm/some\.c:3: neither a mask"):
            self.patches = []
            self.patch(body("return a;"), body("return a;", above="#define X 3\n"))
            mutate.mutants(self.patches, self.tree)

    def test_a_tree_that_is_not_patched_is_refused(self):
        self.patch(body(END), body("return a;"))
        write(self.tree, {FILE: body(END)})
        with self.assertRaisesRegex(ValueError, "mm/some.c:7: not the line"):
            mutate.mutants(self.patches, self.tree)

    def test_whose_line_it_is(self):
        texts = [body(lines) for lines in (
            "return 1;", "g(a);\nreturn 1;", "g(a);\ng(a);\nreturn 1;", "g(a);\nh(a);\ng(a);\nreturn 1;",
            "h(a);\nif (a)\n\th(a);\ng(a);\nreturn 1;")]
        for number, (before, after) in enumerate(zip(texts, texts[1:]), 2):
            self.patch(before, after, f"[PATCH v2 {number}/5] x")
        found = mutate.mutants(self.patches, self.tree)[0]
        self.assertEqual([(one.patch, one.line, one.before) for one in found
                          if one.operator in ("drop", "never")],
                         [(4, 7, "h(a);"), (5, 8, "a"), (3, 10, "g(a);")])

    def test_whose_line_it_is_after_a_patch_far_above(self):
        far = "\n" * 20
        texts = [body(far + lines, above=above) for lines, above in (
            (END, ""), ("g(a);\n" + END, ""), ("g(a);\n" + END, "\n\n"))]
        for before, after in zip(texts, texts[1:]):
            self.patch(before, after)
        found = mutate.mutants(self.patches, self.tree)[0]
        self.assertEqual([(one.patch, one.line) for one in found], [(1, 29)])

    def test_keys(self):
        keys = []
        for above in ("", "\n\n\n"):
            self.patches = []
            self.made("g(a);\ng(a);\n" + END, END, above=above)
            keys.append([one.key for one in self.found])
        self.assertEqual(keys, [["mm/some.c:f:drop:g(a);->", "mm/some.c:f:drop:g(a);->#2"]] * 2)
        self.assertEqual([one.id for one in self.found], [1, 2])

    def test_what_chooses(self):
        self.made("g(a);\n" + END, END)
        self.assertIn("#include <linux/memfd.h>\n#include <linux/fs.h>\n", self.texts[FILE])
        self.assertIn("#define MUTANT(n)", self.texts[mutate.HEADER].partition("#endif")[0])
        self.assertIn('early_param("memfd_mutant"', self.texts[mutate.CHOOSER])


def pristine():
    """The kernel of patches/mainline, if it is there."""
    with open(os.path.join(ROOT, cells.LIST), "rb") as file:
        rows = cells.tomllib.load(file)["base"]
    kernel = next(row["kernel"] for row in rows if row["folder"] == "mainline")
    try:
        with open(os.path.join(CACHE, f"debian-{kernel}.json"), encoding="utf-8") as file:
            return os.path.join(CACHE, f"debian-{json.load(file)['sha256'][:16]}")
    except OSError:
        return None


@unittest.skipUnless(pristine(), "no kernel is in the cache")
class Series(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.tree = os.path.join(cls.folder, "tree")
        cls.patches = sorted(glob.glob(os.path.join(ROOT, "patches/mainline/*.patch")))
        cls.before = {path: mutate.read(pristine(), path) for path in mutate.added_lines(cls.patches)}
        write(cls.tree, cls.before)
        here = os.getcwd()
        os.chdir(ROOT)
        planting.patch_all("patches/mainline", cls.tree)
        os.chdir(here)
        cls.after = {path: mutate.read(cls.tree, path) for path in cls.before}
        cls.found, cls.texts, cls.left = mutate.mutants(cls.patches, cls.tree)

    def test_what_is_not_added_was_there(self):
        for path, lines in mutate.added_lines(self.patches).items():
            old = iter(self.before[path].splitlines())
            for line, text in enumerate(self.after[path].splitlines(), 1):
                self.assertTrue(line in lines or text in old, f"{path}:{line}")

    def test_each_added_line_is_changed_or_left(self):
        """What is code is told here without the module: by the words of a line."""
        for path, lines in mutate.added_lines(self.patches).items():
            changed = [line[1:] for line in difflib.unified_diff(
                self.after[path].splitlines(), self.texts.get(path, self.after[path]).splitlines(), n=0)
                if line.startswith("-")]
            left = [left.line for left in self.left if left.file == path]
            for line, (_, text) in lines.items():
                silent = re.match(r"\s*(/?\*|#\s*include|$)", text)
                if not silent and re.search(r"[=&|]|SEAL|return|goto", text) and line not in left:
                    self.assertIn(text, changed, f"{path}:{line}")

    def test_without_a_number_the_text_is_that_of_the_series(self):
        for path, text in self.texts.items():
            for added in (mutate.DEFINED, mutate.DECLARED):
                text = text.replace(added, "")
            self.assertEqual(unmutated(text), self.after[path])

    def test_each_number_changes_the_text(self):
        changed = {}
        for path, text in self.texts.items():
            lines = difflib.unified_diff(self.after[path].splitlines(True), text.splitlines(True), n=0)
            changed[path] = "".join(line for line in lines if line[0] == "+")
        plain = {path: unmutated(text) for path, text in changed.items()}
        for one in self.found:
            self.assertNotEqual(unmutated(changed[one.file], one.id), plain[one.file], one.key)

    def test_ids_and_keys(self):
        self.assertEqual([one.id for one in self.found], list(range(1, len(self.found) + 1)))
        self.assertEqual(len({one.key for one in self.found}), len(self.found))
        for one in self.found:
            number, text = mutate.added_lines(self.patches)[one.file][one.line]
            self.assertEqual((one.patch, self.after[one.file].splitlines()[one.line - 1]), (number, text))

    def test_it_is_the_same_each_time(self):
        code = ("import sys; sys.path.insert(0, sys.argv[1]); import mutate; "
                "found, texts, left = mutate.mutants(sys.argv[3:], sys.argv[2]); "
                "print(found, sorted(texts.items()), left)")
        said = {subprocess.run([sys.executable, "-c", code, HERE, self.tree, *self.patches], check=True,
                               capture_output=True, env=dict(os.environ, PYTHONHASHSEED=seed)).stdout
                for seed in "123"}
        self.assertEqual(len(said), 1)

    def test_the_diff_makes_the_texts(self):
        copy = os.path.join(self.folder, "copy")
        shutil.copytree(self.tree, copy)
        subprocess.run(["git", "apply", "-"], cwd=copy, check=True, text=True,
                       input=mutate.diff(self.tree, self.texts),
                       env=dict(os.environ, GIT_CEILING_DIRECTORIES=self.folder))
        self.assertEqual({path: mutate.read(copy, path) for path in self.texts}, self.texts)


if __name__ == "__main__":
    unittest.main()
