# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Mutants of a series: one kernel that holds all of its faults, of which `memfd_mutant=N` on the command
line chooses one. It needs CONFIG_MEMFD_CREATE, since mm/memfd.c reads that."""

import collections
import dataclasses
import difflib
import os
import re

import masks
import operators
import statements

HEADER, CHOOSER = "include/linux/memfd.h", "mm/memfd.c"
INCLUDE = "#include <linux/memfd.h>\n"
DECLARED = """#include <linux/compiler.h>
#include <linux/delay.h>

extern int memfd_mutant;
#define MUTANT(n) unlikely(READ_ONCE(memfd_mutant) == (n))
"""
DEFINED = """
int memfd_mutant;

static int __init choose_memfd_mutant(char *number)
{
	return number ? kstrtoint(number, 10, &memfd_mutant) : -EINVAL;
}
early_param("memfd_mutant", choose_memfd_mutant);
"""
ELSEWHERE = ("tools/", "Documentation/", "samples/")


@dataclasses.dataclass(frozen=True)
class Mutant:
    id: int
    file: str
    # The first added line of what is replaced, in the patched file, and the patch that last added it.
    line: int
    function: str
    patch: int
    operator: str
    before: str
    after: str
    # Of those that are the same in the same function, the how manieth it is.
    repeat: int = 1

    @property
    def key(self):
        """Its name, which stays when lines move."""
        repeat = f"#{self.repeat}" if self.repeat > 1 else ""
        return f"{self.file}:{self.function}:{self.operator}:{self.before}->{self.after}{repeat}"


@dataclasses.dataclass(frozen=True)
class Left:
    """An added line that is left as it is, or an operator that does not fit it, with why."""
    file: str
    line: int
    text: str
    why: str


def mutants(patches, tree):
    """The mutants of the patches; the texts of the files that hold them all; what is left out. `tree` has
    the files of the kernel that the patches touch, all of them applied."""
    added = added_lines(patches)
    sources = {path: statements.Source(path, read(tree, path)) for path in {*added, HEADER, CHOOSER}}
    seals = masks.Masks([sources[path] for path in sorted(sources)])
    found, texts, left, repeats = [], {}, [], collections.Counter()
    for path in sorted(added):
        source, edits = sources[path], []
        for line, (_, text) in added[path].items():
            if source.text[slice(*source.span(line))] != text + "\n":
                raise ValueError(f"{path}:{line}: not the line that the patches add: {text.strip()}")
        finder = operators.Finder(source, added[path], seals)
        faults = [(min(line for line in source.lines(*fault.span) if line in added[path]), fault)
                  for fault in finder.find()]
        for line, fault in sorted(faults, key=lambda one: one[0]):
            one = Mutant(len(found) + 1, path, line, fault.function, added[path][line][0], fault.operator,
                         fault.before, fault.after)
            repeats[one.key] += 1
            found.append(dataclasses.replace(one, repeat=repeats[one.key]))
            edits += [edit.numbered(str(one.id)) for edit in fault.edits]
        left += [Left(path, line, added[path][line][1].strip(), why)
                 for line, why in sorted(finder.left.items())]
        if edits:
            texts[path] = edited(source, edits)
    texts[HEADER] = declared(texts.get(HEADER, sources[HEADER].text))
    texts[CHOOSER] = texts.get(CHOOSER, sources[CHOOSER].text) + DEFINED
    for path in set(texts) - {HEADER}:
        if INCLUDE not in texts[path]:
            texts[path] = re.sub(r"^#include ", INCLUDE + "#include ", texts[path], count=1, flags=re.M)
    return found, texts, left


def read(tree, path):
    with open(os.path.join(tree, path), encoding="utf-8") as file:
        return file.read()


def added_lines(patches):
    """Of each file of the kernel's code that the patches add to: {line: (patch, text)}, where the lines are
    those of the file with all patches applied."""
    found = {}
    for place, path in enumerate(patches, 1):
        with open(path, encoding="utf-8") as file:
            mail = file.read()
        numbered = re.search(r"^Subject: \[[^\]]*?(\d+)/\d+\]", mail, re.M)
        number = int(numbered[1]) if numbered else place
        for touched, hunks in diffs(mail):
            if touched.endswith((".c", ".h")) and not touched.startswith(ELSEWHERE):
                found[touched] = moved(found.get(touched, {}), hunks, number)
    return {path: lines for path, lines in found.items() if lines}


def diffs(mail):
    """(file, its hunks: (old line, new line, lines)) of a patch. The counts of a hunk say where it ends:
    the mail's signature may look like a removed line."""
    files, lines = [], iter(mail.splitlines())
    for line in lines:
        hunk = re.match(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@", line)
        if name := re.match(r"\+\+\+ (?:b/)?(\S+)", line):
            files.append((name[1], []))
        elif hunk and files:
            left, right, body = int(hunk[2] or 1), int(hunk[4] or 1), []
            while left or right:
                body.append(next(lines) or " ")
                left -= body[-1][0] in " -"
                right -= body[-1][0] in " +"
            files[-1][1].append((int(hunk[1]), int(hunk[3]), body))
    return files


def moved(lines, hunks, patch):
    """The added lines of a file, after one more patch of it."""
    after, gone, shifts = {}, set(), []
    for old, new, body in hunks:
        for line in body:
            if line[0] == "+":
                after[new] = (patch, line[1:])
            elif line[0] == "-":
                gone.add(old)
            elif line[0] == " " and old in lines:
                after[new] = lines[old]
            gone |= {old} if line[0] == " " else set()
            old, new = old + (line[0] in " -"), new + (line[0] in " +")
        shifts.append((old, new - old))
    for line in set(lines) - gone:
        after[line + next((by for old, by in reversed(shifts) if old <= line), 0)] = lines[line]
    return dict(sorted(after.items()))


def edited(source, edits):
    """The text with all edits around each other. Of two that are around the same, the earlier is outside."""
    edits = sorted(enumerate(edits), key=lambda one: (one[1].start, -one[1].end, one[0]))

    def between(start, end):
        text, at = "", start
        while edits and edits[0][1].start < end:
            edit = edits.pop(0)[1]
            if edit.start < at or edit.end > end:
                source.refuse(edit.start, "two mutants overlap")
            text += source.text[at:edit.start] + edit.prefix + between(edit.start, edit.end) + edit.suffix
            at = edit.end
        return text + source.text[at:end]
    return between(0, len(source.text))


def declared(header):
    """The header with what chooses, after its last #include."""
    at = max(found.end() for found in re.finditer(r"^#include .*\n", header, re.M))
    return header[:at].rstrip("\n") + "\n" + DECLARED + header[at:]


def diff(tree, texts):
    """What makes the texts of the tree's files, as one more patch on top of the series."""
    found = ""
    for path in sorted(texts):
        lines = difflib.unified_diff(read(tree, path).splitlines(True), texts[path].splitlines(True),
                                     f"a/{path}", f"b/{path}")
        found += f"diff --git a/{path} b/{path}\n" + "".join(lines)
    return found
