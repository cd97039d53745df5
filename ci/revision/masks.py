# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Macros that are sets of seals."""

import re

from statements import flat

DEFINE = re.compile(r"\s*#\s*define\s+(\w+)(?!\()[\s\\]*")
# What a constant is needed for.
CONSTANT = re.compile(r"\bcase\b|BUILD_BUG|static_assert|\bstatic\b|\benum\b|\[\s*$")


class Masks:
    """The macros of the tree that are sets of seals, each with its seals."""

    def __init__(self, sources):
        self.sources, self.seals = sources, {}
        defined = [(found[1], flat(source.bare[start + found.end():end]).strip("() "))
                   for source in sources for start, end in source.directives
                   if (found := DEFINE.match(source.bare[start:end]))]
        before = None
        while before != len(self.seals):
            before = len(self.seals)
            for name, value in defined:
                if not name.startswith("F_SEAL_") and self.chain().fullmatch(value):
                    self.seals[name] = self.of(value)

    def names(self):
        return r"\b(?:F_SEAL_\w+" + "".join(f"|{name}" for name in self.seals) + r")\b"

    def chain(self):
        return re.compile(rf"{self.names()}(?:[\s\\]*\|(?!\|)[\s\\]*{self.names()})*")

    def of(self, chain):
        return list(dict.fromkeys(seal for name in re.findall(self.names(), chain)
                                  for seal in self.seals.get(name, [name])))

    def constant(self, macro):
        """Where a macro must be a constant, so that it can't ask for the fault; None if nowhere."""
        for source in self.sources:
            for found in re.finditer(rf"\b{macro}\b", source.bare):
                at, line = found.start(), source.line(found.start())
                directive = next((source.bare[start:end] for start, end in source.directives
                                  if start <= at < end), None)
                if directive:
                    other = DEFINE.match(directive)
                    bad = other and other[1] != macro and self.constant(other[1]) or None
                    bad = f"{source.path}:{line}" if not other else bad
                else:
                    begin = max(source.code.rfind(mark, 0, at) for mark in ";{}") + 1
                    bad = (f"{source.path}:{line}" if CONSTANT.search(source.code[begin:at])
                           or not source.functions({line}) else None)
                if bad:
                    return bad
        return None
