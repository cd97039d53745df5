# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The faults that can be made of the lines that a series adds: mechanically, each where it fits. A fault
that would be the same as another, or that C leaves undefined, is not made."""

import dataclasses
import re

import statements
from masks import DEFINE
from statements import flat

ERRNO = re.compile(r"(?<![\w)\]])-\s*(E[A-Z0-9]+)\b")
OTHER_ERRNO = {"EPERM": "EACCES", "EOPNOTSUPP": "EINVAL"}
COMPARED = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
OPERATOR = re.compile(r"\|\||&&|->|<<|>>|<=|>=|==|!=|[<>?:|&^]")
WIDER = ["F_SEAL_EXEC", "F_SEAL_SEAL"]
LOCK = re.compile(r"(?:(?P<kind>\w+_)?(?P<un>un)?lock(?P<how>_\w+)?|(?P<way>down|up)(?P<mode>_\w+))"
                  r"\s*(?P<of>\(.*\))\s*;$", re.S)
SLEEPS = re.compile(r"(?:inode_lock|mutex_lock|down)\w*\s*\(")
SCALAR = re.compile(r"(?:const |unsigned |signed )*"
                    r"(?:int|long|short|char|bool|size_t|ssize_t|loff_t|pgoff_t|[su]\d+)\b")
# What an expression is that asks no more than what is in it.
WITHIN = re.compile(r"!|(?:(?:un)?likely\s*)?(?=\()")
JUMP = re.compile(r"\b(?:return|goto|break|continue)\b")
ALONE = re.compile(r"(?:goto|continue)\b|\w+\s*\(|[\w>.*()\[\]-]+\s*(?:\+\+|--);|(?:\+\+|--)")
# What may declare something, though it looks like a call.
SCOPED = re.compile(r"(?!WRITE_ONCE|(?:VM_)?(?:WARN|BUG)_ON)(?:[A-Z][A-Z0-9_]*|guard|scoped_guard)\s*\(")
# What a moved lock leaves open is open for this long: whether a fault is noticed is not to hang on luck.
OPEN = "udelay(20);"
# Directives without anything to run.
PLAIN = re.compile(r"\s*#\s*(?:include|if|ifdef|ifndef|elif|else|endif)\b")


@dataclasses.dataclass(frozen=True)
class Edit:
    """What is put around a piece of the text; @ is the fault's number."""
    start: int
    end: int
    prefix: str
    suffix: str

    def numbered(self, number):
        return Edit(self.start, self.end, self.prefix.replace("@", number), self.suffix.replace("@", number))


@dataclasses.dataclass(frozen=True)
class Fault:
    """`span` is the piece of the text that it is of: at least one line of it is added."""
    operator: str
    function: str
    before: str
    after: str
    span: tuple
    edits: tuple


def lock_of(text):
    """(what is locked and how, whether this releases it), if the statement is about a lock."""
    found = LOCK.match(text)
    return found and ((found["kind"], found["how"], found["mode"], flat(found["of"])),
                      found["un"] == "un" or found["way"] == "up")


class Finder:
    """Finds the faults of one file. `added` has its added lines."""

    def __init__(self, source, added, masks):
        self.source, self.added, self.masks = source, added, masks
        self.faults, self.left, self.function = [], {}, None

    def new(self, start, end):
        return any(line in self.added for line in self.source.lines(start, end))

    def words(self, start, end):
        return flat(self.source.bare[start:end])

    def fault(self, operator, span, before, after, *edits):
        self.faults.append(Fault(operator, self.function, before, after, span, edits))

    def instead(self, operator, start, end, after, boolean=False):
        """An expression in place of another."""
        if self.new(start, end):
            edit = Edit(start, end, f"(MUTANT(@) ? ({after}) : {'!!' if boolean else ''}(", "))")
            self.fault(operator, (start, end), self.words(start, end), after, edit)

    def leave(self, span, why, always=True):
        """Says of a piece why it is left as it is; without `always`, if it has no other fault."""
        for line in self.source.lines(*span):
            if line in self.added:
                self.left.setdefault(line, (why, always))

    def find(self):
        for start, end in self.source.directives:
            if self.new(start, end):
                self.directive(start, end)
        for function in self.source.functions(set(self.added)):
            self.function, self.inside = function.name, function
            for statement in function.block.walk():
                if statement.kind != "block" and self.new(*statement.head):
                    getattr(self, statement.kind + "_")(statement)
        self.account()
        return self.faults

    def account(self):
        """Each added line has a fault, a reason, or nothing to run; else it is refused."""
        source = self.source
        having = {line for fault in self.faults for span in (fault.span, *((edit.start, edit.end)
                  for edit in fault.edits)) for line in source.lines(*span)}
        self.left = {line: why for line, (why, always) in self.left.items() if always or line not in having}
        silent = [line for statement in self.silent() for line in source.lines(*statement)]
        for line in sorted(set(self.added) - having - set(self.left) - set(silent)):
            start, end = source.span(line)
            text = re.sub(r"[{};]|\belse\b|^\s*(?:case\b.*|\w+\s*):", "", source.code[start:end]).strip()
            if text and (source.functions({line}) and not self.signature(line) or "=" in text):
                source.refuse(start, f"not understood: {text}")

    def silent(self):
        """Declarations without a value."""
        for function in self.source.functions(set(self.added)):
            for one in function.block.walk():
                text = self.source.code[one.start:one.end]
                if one.kind == "simple" and statements.declared(text) and "=" not in text:
                    yield one.start, one.end

    def signature(self, line):
        return any(line in self.source.lines(function.start, function.block.start)
                   for function in self.source.functions({line}))

    def directive(self, start, end):
        text = self.source.bare[start:end]
        define = DEFINE.match(text)
        at = start + define.end() if define else end
        self.function = define[1] if define else ""
        if PLAIN.match(text) or define and at == end:
            return
        if "/uapi/" in self.source.path:
            self.leave((start, end), "a value of the ABI")
        elif define and self.function in self.masks.seals:
            constant = self.masks.constant(self.function)
            if constant:
                self.leave((start, end), f"must be a constant at {constant}")
            else:
                self.scan(at, end, define=True)
        else:
            self.source.refuse(start, f"neither a mask of seals nor plain: {flat(text)}")

    # Expressions

    def scan(self, start, end, define=False):
        """What is wherever it stands in an expression: masks, READ_ONCE(), errnos."""
        for found in self.masks.chain().finditer(self.source.bare, start, end):
            self.mask(*found.span(), define)
        for found in re.finditer(r"\bREAD_ONCE\s*(?=\()", self.source.bare[start:end]):
            opened = start + found.end()
            closed = self.source.close(opened)
            self.instead("once", start + found.start(), closed + 1, self.words(opened + 1, closed))
        for found in ERRNO.finditer(self.source.bare, start, end):
            self.instead("errno", *found.span(), "-" + OTHER_ERRNO.get(found[1], "EPERM"))

    def mask(self, start, end, define):
        """A macro loses only what is added to it. A mask of one seal that is asked for can't lose it: the
        question itself can be dropped."""
        chain, seals = self.words(start, end), self.masks.of(self.source.bare[start:end])
        parts = [(start + part.start(), start + part.end())
                 for part in re.finditer(self.masks.names(), self.source.bare[start:end])]
        if len(seals) > 1 or define:
            if len(parts) == len(seals) > 1:
                for part in parts:
                    self.instead("narrow", *part, "0")
            else:
                added = {seal for part in parts if self.new(*part)
                         for seal in self.masks.of(self.source.bare[slice(*part)])}
                for seal in (seal for seal in seals if seal in added):
                    whole = f"({chain})" if "|" in chain else chain
                    self.instead("narrow", start, end, f"{whole} & ~{seal}")
        for seal in WIDER:
            if seal not in seals:
                self.instead("widen", start, end, f"{chain} | {seal}")

    def operators(self, start, end):
        """(operator, where) of those that stand in no bracket."""
        code, at = self.source.code, start
        while at < end:
            found = OPERATOR.match(code, at)
            if code[at] in statements.CLOSE:
                at = self.source.close(at)
            elif found and (found[0] != "&" or re.search(r"[\w)\]]\s*$", code[start:at])):
                yield found[0], at
            at = found.end() if found else at + 1

    def trimmed(self, start, end):
        text = self.source.code[start:end]
        return start + len(text) - len(text.lstrip()), end - len(text) + len(text.rstrip())

    def decide(self, start, end):
        """A question that is answered otherwise."""
        start, end = self.trimmed(start, end)
        self.instead("never", start, end, "0", True)
        self.instead("always", start, end, "1", True)
        self.instead("invert", start, end, f"!({self.words(start, end)})", True)
        self.parts(start, end, True, True)

    def parts(self, start, end, boolean=False, decided=False):
        """The operands of an expression. One that is decided as a whole needs no == made !=."""
        start, end = self.trimmed(start, end)
        inside = WITHIN.match(self.source.code, start)
        if inside and (inside[0] == "!" or self.source.close(inside.end()) == end - 1):
            if inside[0] != "!":
                return self.parts(inside.end() + 1, end - 1, boolean, decided)
            if not list(self.operators(start, end)):
                return self.parts(inside.end(), end, True, decided)
        found = list(self.operators(start, end))
        for operator in ("?", "||", "&&", "|", "^", "&"):
            cuts = [at for one, at in found if one == operator]
            if not cuts:
                continue
            if operator == "?":
                self.decide(start, cuts[0])
                other = next(at for one, at in reversed(found) if one == ":")
                self.parts(cuts[0] + 1, other)
                return self.parts(other + 1, end)
            edges = [start - len(operator), *cuts, end]
            for left, right in zip(edges, edges[1:]):
                part = self.trimmed(left + len(operator), right)
                if len(operator) == 2:
                    self.instead("operand", *part, "0" if operator == "||" else "1", True)
                self.parts(*part, len(operator) == 2)
            return None
        for operator, at in found:
            if operator in COMPARED and not (decided and operator in ("==", "!=")):
                left, right = self.words(start, at), self.words(at + len(operator), end)
                self.instead("compare", start, end, f"{left} {COMPARED[operator]} {right}", boolean)
        return None

    # Statements

    def if_(self, statement):
        self.decide(*statement.inner)
        self.scan(*statement.inner)
        lock = self.held(statement)
        if lock and self.beside(statement, -1) != (lock, True):
            self.gap(lock, statement)
        elif lock and not self.new(lock.start, lock.end):
            self.late(lock, statement, statement.inner)

    def loop_(self, statement):
        if not self.source.code.startswith("while", statement.start):
            self.source.refuse(statement.start, "only while loops are understood")
        self.instead("never", *self.trimmed(*statement.inner), "0", True)
        self.parts(*statement.inner, True, True)
        self.scan(*statement.inner)

    def simple_(self, statement):
        start, end = statement.start, statement.end
        text = self.source.code[start:end]
        name, equals = statements.declared(text), re.search(r"(?<![=<>!])[-+*/%&|^]?=(?!=)|<<=|>>=", text)
        if re.match(r"return\b", text):
            self.returned(statement)
        elif name:
            if equals:
                self.declaration(statement, start + equals.end(), text)
        elif lock_of(text):
            self.lock(statement, *lock_of(text))
        elif not SCOPED.match(text) and (equals or ALONE.match(text)):
            self.drop(statement)
            if equals:
                self.value(*self.trimmed(start + equals.end(), end - 1))
            self.scan(start, end)
        else:
            self.source.refuse(start, f"a statement that is not understood: {flat(text)}")

    def value(self, start, end):
        """What is assigned or returned: an errno may be no error, and what is asked may be answered."""
        if ERRNO.fullmatch(self.source.code[start:end]):
            self.instead("success", start, end, "0")
        self.parts(start, end)

    def returned(self, statement):
        start, end = self.trimmed(statement.start + len("return"), statement.end - 1)
        text, returns = self.source.code[start:end], self.inside.returns
        if re.search(r"\bbool\b", returns) and text not in ("true", "false"):
            self.decide(start, end)
        elif ERRNO.fullmatch(text):
            self.value(start, end)
        elif text:
            other = {"0": "-EPERM", "true": "false", "false": "true"}.get(text, "0")
            self.instead("return", start, end, "NULL" if returns.endswith("*") else other)
            self.parts(start, end)
        self.scan(start, end)
        self.drop(statement)

    def declaration(self, statement, at, text):
        before = len(self.faults)
        start, end = self.trimmed(at, statement.end - 1)
        self.parts(start, end)
        self.scan(start, end)
        if before == len(self.faults):
            if not SCALAR.match(text) or "*" in text[:at - statement.start]:
                self.leave((start, end), "a pointer or a struct: any other value is an oops, or no C")
            elif self.words(start, end) in ("0", "false"):
                self.instead("value", start, end, "1")
            else:
                self.instead("value", start, end, "0")

    def drop(self, statement):
        """The statement is left out, unless that would be another fault or undefined."""
        text, above = self.source.code[statement.start:statement.end], statement.parent
        span = (statement.start, statement.end)
        while above.kind == "block" and len(above.body) == 1 and above.parent:
            above = above.parent
        last = statement is self.inside.block.body[-1]
        if above.kind == "if" and len(above.body) == 1 and self.new(*above.inner):
            self.leave(span, "without it, its `if` does nothing: that is `never`", always=False)
        elif last and text.startswith("return") and text[len("return"):].strip() != ";":
            self.leave(span, "without it, the function ends without a value", always=False)
        elif self.undefined(statement, text):
            value = self.trimmed(statement.start + text.index("=") + 1, statement.end - 1)
            if ERRNO.fullmatch(self.source.code[slice(*value)]):
                self.leave(span, "not dropped: the variable has no value before, and 0 is `success`")
            else:
                self.instead("success", *value, "0")
        else:
            self.fault("drop", span, flat(text), "",
                       Edit(*span, "{ if (!MUTANT(@)) ", " }"))

    def undefined(self, statement, text):
        """Whether the variable that is assigned may have no value without it. One that a branch has set
        before has none if the branch was not taken."""
        name = re.match(r"(\w+)\s*=(?!=)", text)
        if not name:
            return False
        earlier = [(one, self.source.code[one.start:one.end]) for one in self.inside.block.walk()
                   if one.kind == "simple" and one.start < statement.start]
        bare = any(statements.declared(said) and re.search(rf"\b{name[1]}\s*[,;]", said)
                   for _, said in earlier)
        return bare and not any(re.match(rf"{name[1]}\s*=(?!=)", said) and one.parent is self.inside.block
                                for one, said in earlier)

    # Locks

    def beside(self, statement, step):
        """The statement before or after, and whether no label stands between."""
        others = statement.parent.body if statement.parent.kind == "block" else []
        at = next((at for at, one in enumerate(others) if one is statement), 0) + step
        if not 0 <= at < len(others):
            return None, False
        first, second = sorted((others[at], statement), key=lambda one: one.start)
        return others[at], not self.source.code[first.end:second.start].strip()

    def lock(self, statement, what, releases):
        if "irqsave" in (what[1] or "") or "irqrestore" in (what[1] or ""):
            self.source.refuse(statement.start, "a lock that keeps flags is not understood")
        span, text = (statement.start, statement.end), self.words(statement.start, statement.end)
        same = [(one, found[1]) for one in self.inside.block.walk() if one.kind == "simple"
                if (found := lock_of(self.source.code[one.start:one.end])) and found[0] == what]
        if releases:
            taken = [one for one, off in same if not off and one.start < statement.start]
            if not taken or not self.new(taken[-1].start, taken[-1].end):
                self.drop(statement)
            return self.early(statement, text)
        pair = [statement]
        for one, off in same:
            if one.start > statement.start:
                if not off:
                    break
                pair.append(one)
        if len(pair) == 1:
            self.source.refuse(statement.start, "a lock that the function does not release is not understood")
        self.fault("unlocked", span, text, "",
                   *(Edit(one.start, one.end, "{ if (!MUTANT(@)) ", " }") for one in pair))
        after, near = self.beside(statement, 1)
        if after and near:
            self.late(statement, after, span)
        return None

    def held(self, statement):
        """The lock that the function has taken before, if it is one to sleep with and not released since."""
        while statement.parent:
            before, _ = self.beside(statement, -1)
            found = before and before.kind == "simple" and lock_of(self.source.code[before.start:before.end])
            if found:
                return before if not found[1] and SLEEPS.match(self.source.code, before.start) else None
            statement = before or statement.parent
        return None

    def gap(self, lock, statement):
        """What is asked under a lock is asked without it."""
        taken, asked = self.words(lock.start, lock.end), self.words(*statement.inner)
        freed = re.sub(r"^(\w+_)lock|^down", lambda at: f"{at[1]}unlock" if at[1] else "up", taken)
        edit = Edit(*statement.inner,
                    f"({{ bool memfd_mutant_saw; if (MUTANT(@)) {freed} memfd_mutant_saw = ",
                    f"; if (MUTANT(@)) {{ {OPEN} {taken} }} memfd_mutant_saw; }})")
        self.fault("gap", statement.inner, asked, f"{freed} {asked}; {taken}", edit)

    def late(self, lock, after, span):
        """The lock is taken one statement later; an `if` is asked before, and done after."""
        taken = self.words(lock.start, lock.end)
        if after.kind == "if":
            edit = Edit(*after.inner, "({ bool memfd_mutant_saw; memfd_mutant_saw = ",
                        f"; if (MUTANT(@)) {{ {OPEN} {taken} }} memfd_mutant_saw; }})")
        elif JUMP.search(self.source.code[after.start:after.end]):
            return
        else:
            edit = Edit(after.start, after.end, "{ ", f" if (MUTANT(@)) {{ {OPEN} {taken} }} }}")
        moved = self.words(*after.head)
        self.fault("late-lock", span, f"{taken} {moved}", f"{moved} {taken}",
                   Edit(lock.start, lock.end, "{ if (!MUTANT(@)) ", " }"), edit)

    def early(self, unlock, text):
        """The lock is released one statement earlier."""
        before, near = self.beside(unlock, -1)
        code = before and self.source.code[before.start:before.end]
        if before and near and not JUMP.search(code) and not lock_of(code):
            moved = flat(code)
            self.fault("early-unlock", (unlock.start, unlock.end), f"{moved} {text}", f"{text} {moved}",
                       Edit(before.start, before.end, f"{{ if (MUTANT(@)) {{ {text} {OPEN} }} ", " }"),
                       Edit(unlock.start, unlock.end, "{ if (!MUTANT(@)) ", " }"))
