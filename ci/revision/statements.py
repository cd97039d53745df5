# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Functions and statements of a C file, read far enough to change them one by one. What it can't read it
refuses, so that nothing is left unchanged unseen."""

import dataclasses
import re

CLOSE = {"(": ")", "[": "]", "{": "}"}
HEAD = re.compile(r"(if|while|for|switch)\b\s*(?=\()")
LABEL = re.compile(r"(?:case\b[^:;{}]*|default\s*|[A-Za-z_]\w*\s*):(?!:)")
# A macro that loops, such as list_for_each_entry(): what follows it is no operator and no semicolon.
LOOP = re.compile(r"[A-Za-z_]\w*\s*(?=\()")
TYPE = r"(?:(?:const|static|struct|enum|union|unsigned|signed|volatile|long|short)\s+)*\w+"
DECLARATION = re.compile(rf"{TYPE}(?:\s+|\s*\*+\s*)(?:\*\s*)*(\w+)(?:\[[^\]]*\])*\s*(?:[=,;]|__free\b|$)")
NO_TYPE = re.compile(r"(?:return|goto|else|case|break|continue)\b")


@dataclasses.dataclass(eq=False)
class Statement:
    """kind: simple, if, loop, block. `inner` is what an `if` or a loop asks; of others it is all."""
    kind: str
    start: int
    end: int
    inner: tuple = None
    # The statements of a block; of an `if` its branches, of a loop its body.
    body: list = dataclasses.field(default_factory=list)
    parent: "Statement" = None

    def walk(self):
        yield self
        for below in self.body:
            yield from below.walk()

    @property
    def head(self):
        """All but the statements in it."""
        return (self.start, self.inner[1] + 1) if self.kind in ("if", "loop") else (self.start, self.end)


@dataclasses.dataclass
class Function:
    name: str
    start: int
    returns: str
    block: Statement


def blanked(text):
    """The text with comments and what is quoted made blank, each character where it was."""
    def blank(found):
        word = found[0]
        kept = word[0] + re.sub(r"[^\n]", " ", word[1:-1]) + word[-1] if word[0] in "\"'" else None
        return kept or re.sub(r"[^\n]", " ", word)
    return re.sub(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'", blank, text, flags=re.S)


class Source:
    """One file: its text, the same without comments, its lines, directives and functions."""

    def __init__(self, path, text):
        self.path, self.text = path, text
        self.bare = blanked(text)
        self.starts = [0] + [at.end() for at in re.finditer("\n", text)]
        self.directives = [found.span() for found in
                           re.finditer(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", self.bare, re.M)]
        self.code = self.bare
        for start, end in self.directives:
            self.code = self.code[:start] + re.sub(r"[^\n]", " ", self.code[start:end]) + self.code[end:]

    def line(self, at):
        """The number of the line, from 1."""
        low, high = 0, len(self.starts)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.starts[middle] <= at else (low, middle)
        return low + 1

    def lines(self, start, end):
        return range(self.line(start), self.line(max(start, end - 1)) + 1)

    def span(self, line):
        return self.starts[line - 1], (self.starts + [len(self.text)])[line]

    def refuse(self, at, why):
        raise ValueError(f"{self.path}:{self.line(at)}: {why}")

    def close(self, at, text=None):
        """Where the bracket that is opened there is closed."""
        text, open_ = text or self.code, []
        for place in range(at, len(text)):
            if text[place] in CLOSE:
                open_.append(CLOSE[text[place]])
            elif text[place] in ")]}":
                if text[place] != open_.pop():
                    break
                if not open_:
                    return place
        return self.refuse(at, f"{text[at]} has no end")

    def functions(self, wanted):
        """Those with one of the wanted lines in their body; the others need not be understood."""
        found, at, begin = [], 0, 0
        while (at := min((place for place in (self.code.find(one, at) for one in "{;") if place >= 0),
                         default=-1)) >= 0:
            if self.code[at] == "{":
                head, end = self.code[begin:at], self.close(at)
                named = re.search(r"(\w+)\s*\(\s*(\w*)", head)
                if named and "=" not in head[:named.start()] and head.rstrip().endswith(")"):
                    name = named[2] if named[1].isupper() and "_DEFINE" in named[1] else named[1]
                    if set(self.lines(at, end)) & wanted:
                        start = begin + len(head) - len(head.lstrip())
                        found.append(Function(name, start, head[:named.start()].strip(), self.block(at)))
                    begin = end + 1
                at = end
            else:
                begin = at + 1
            at += 1
        return found

    def skip(self, at):
        return at + len(self.code[at:]) - len(self.code[at:].lstrip())

    def block(self, at):
        block, end = Statement("block", at, self.close(at) + 1), self.close(at)
        at = self.skip(at + 1)
        while at < end:
            if (label := LABEL.match(self.code, at)) and "?" not in label[0]:
                at = label.end()
            else:
                block.body.append(self.statement(at, block))
                at = block.body[-1].end
            at = self.skip(at)
        return block

    def statement(self, at, parent):
        if self.code[at] == "{":
            found = self.block(at)
        elif head := HEAD.match(self.code, at) or self.loop(at):
            opened = head.end()
            closed = self.close(opened)
            kind = "if" if head[0].startswith("if") and head[0].strip() == "if" else "loop"
            found = Statement(kind, at, closed + 1, (opened + 1, closed))
            found.body.append(self.statement(self.skip(closed + 1), found))
            found.end = found.body[-1].end
            if kind == "if" and (other := re.compile(r"\s*else\b\s*").match(self.code, found.end)):
                found.body.append(self.statement(other.end(), found))
                found.end = found.body[-1].end
        else:
            found = Statement("simple", at, self.semicolon(at) + 1)
        found.parent = parent
        return found

    def loop(self, at):
        head = LOOP.match(self.code, at)
        after = head and self.code[self.skip(self.close(head.end()) + 1)]
        return head if after and (after == "{" or after.isalpha()) and head[0].strip() != "return" else None

    def semicolon(self, at):
        if re.compile(r"do\b").match(self.code, at):
            self.refuse(at, "a do loop is not understood")
        while self.code[at] != ";":
            at = self.close(at) + 1 if self.code[at] in CLOSE else at + 1
        return at


def flat(text):
    """On one line."""
    return " ".join(text.replace("\\\n", " ").split())


def declared(text):
    """The name that a simple statement declares, if it declares one."""
    found = not NO_TYPE.match(text) and DECLARATION.match(text)
    return found[1] if found else None
