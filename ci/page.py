# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The page "which kernel guarantees what", from the records of a matrix that passed. It says what calls
gave and how those of two kernels differ; the one thing that it concludes is LEFT."""

import html as escaping
import json
import os
import string

from cells import Cell

HERE = os.path.dirname(os.path.abspath(__file__))
# What most readers look for comes first: a narrow screen shows no more without a touch.
ORDER = ["FS_WRITE", "FW|S|G", "FUTURE_WRITE", "WRITE", "SHRINK", "GROW", "EXEC", "none"]
KINDS = [("guarantees", "memfd"), ("guarantees_hugetlb", "memfd on hugetlbfs")]
ABSENT = "-"
OPEN = ("works", "lost", "grows")
# What a receiver can still change, and the answers that show it.
LEFT = {
    "contents": [("write()", "works"), ("mmap() shared, writable", "works"),
                 ("  then mprotect() to writable", "works"), ("fallocate() to punch a hole", "works"),
                 ("  and to grow: old contents", "lost")],
    "size": [("ftruncate() to grow", "works"), ("ftruncate() to shrink", "works"),
             ("fallocate() past EOF", "works"), ("mmap() private, past EOF: size", "grows")],
    "blocks": [("fallocate() below EOF", "works")],
}


def text(words):
    return escaping.escape(str(words))


def seal(head):
    """A seal's name, which may break after an underscore."""
    words = {"FW|S|G": "FUTURE_WRITE, SHRINK, GROW", "none": "no seal"}.get(head, head)
    return text(words).replace("_", "_<wbr>")


class Grid:
    """What calls gave under each seal."""

    def __init__(self, grid):
        self.seals = [head for head in ORDER if head in grid["seals"]]
        self.seals += [head for head in grid["seals"] if head not in ORDER]
        self.calls = [line["call"] for line in grid["lines"]]
        self.gives = {(line["call"], head): given for line in grid["lines"]
                      for head, given in zip(grid["seals"], line["gives"], strict=True)}

    def lacks(self, head):
        """Whether the kernel has no such seal."""
        return all(self.gives[call, head] == ABSENT for call in self.calls)

    def left(self, head):
        """What a receiver can still change, in words."""
        left = [what for what, shown in LEFT.items()
                if any(self.gives[call, head] == given for call, given in shown)]
        return ABSENT if self.lacks(head) else ", ".join(left) or "nothing"


def answer(given):
    """The inside of a cell."""
    if given == ABSENT:
        return '<span aria-label="no such seal">–</span>'
    return f"<code>{text(given)}</code>" if given.startswith("0x") else text(given)


def cell(now, then, guarantees=False):
    """One answer with the series; where the kernel without it gives another, both."""
    kinds = ["absent"] * (now == ABSENT) + ["shut"] * guarantees + ["differs"] * (now != then)
    note = f" <small>stock: {answer(then)}</small>" if now != then else ""
    return f'<td class="{" ".join(kinds)}">{answer(now)}{note}</td>'.replace(' class=""', "")


def table(caption, stock, patched):
    """A kernel's answers. A seal that only the series brings says so once, at the head."""
    heads = []
    for head in patched.seals:
        note = ""
        if patched.lacks(head):
            note = " <small>not here</small>"
        elif stock.lacks(head):
            note = " <small>series only</small>"
        heads.append(f'<th scope="col">{seal(head)}{note}</th>')
    lines = []
    for call in patched.calls:
        indent = ' class="then"' if call.startswith(" ") else ""
        cells = ""
        for head in patched.seals:
            now, bare = patched.gives[call, head], patched.gives[call, "none"]
            then = now if stock.lacks(head) else stock.gives[call, head]
            # A refusal that needs no seal is none that the seal guarantees.
            cells += cell(now, then, now not in (*OPEN, ABSENT, bare) and not now.startswith("0x"))
        lines.append(f'<tr><th scope="row"{indent}>{text(call.strip())}</th>{cells}</tr>')
    return boxed(caption, "".join(heads), f"<tbody>{''.join(lines)}</tbody>", "grid")


def boxed(caption, heads, bodies, kind, first="call"):
    """A table in a box of its own, which scrolls where the page must not."""
    return (f'<div class="box" role="region" tabindex="0" aria-label="{text(caption)}"><table class="{kind}">'
            f'<caption><span>{text(caption)}</span></caption><thead><tr><th scope="col">{first}</th>{heads}</tr></thead>'
            f"{bodies}</table></div>")


def differences(one, other):
    """What the second kernel gives otherwise than the first, a line each."""
    if (one.seals, one.calls) != (other.seals, other.calls):
        return ["other calls or seals"]
    return [f"{call.strip()} under {head}: {other.gives[call, head]}, not {one.gives[call, head]}"
            for call in one.calls for head in one.seals
            if one.gives[call, head] != other.gives[call, head]]


def kernel(record):
    return f"Linux {record['release']}"


def glance(bases):
    """What is left to a receiver, on each kernel."""
    bodies, seals = [], Grid(bases[0][1][KINDS[0][0]]).seals
    for grid, what in KINDS:
        lines = []
        for stock, patched, _ in bases:
            old, new, cells = Grid(stock[grid]), Grid(patched[grid]), ""
            for head in seals:
                now, then = new.left(head), old.left(head)
                cells += cell(now, now if then == ABSENT else then, now == "nothing")
            lines.append(f'<tr><th scope="row">{text(kernel(patched))}</th>{cells}</tr>')
        part = f'<tr class="part"><th scope="rowgroup">{what}</th><td colspan="{len(seals)}"></td></tr>'
        bodies.append(f"<tbody>{part}{''.join(lines)}</tbody>")
    only = {head for stock, _, _ in bases for head in seals if Grid(stock[KINDS[0][0]]).lacks(head)}
    only &= {head for head in seals if all(not Grid(p[KINDS[0][0]]).lacks(head) for _, p, _ in bases)}
    notes = {head: " <small>series only</small>" for head in only}
    heads = "".join(f'<th scope="col">{seal(head)}{notes.get(head, "")}</th>' for head in seals)
    return boxed("What a receiver can still change", heads, "".join(bodies), "glance", "kernel")


def section(base, stock, patched, more):
    """All of one base."""
    anchor = f"k-{base}"
    found = [f'<section aria-labelledby="{anchor}"><h2 id="{anchor}">{text(kernel(patched))}</h2>']
    found.append(
        f"<p>{text(patched['base'])}; with the series it has the {patched['patches']} patches of "
        f'<a href="patches/{text(base)}">{text(patched["series"])}</a>, '
        f"hash <code>{patched['patches_hash'][:12]}</code>.</p>")
    for other in more:
        lines = [f"{what}: {line}" for grid, what in KINDS
                 for line in differences(Grid(patched[grid]), Grid(other[grid]))]
        name = text(machine(other))
        if lines:
            items = "".join(f"<li>{text(line)}</li>" for line in lines)
            found.append(f"<p>On {name}, with the series, otherwise:</p><ul>{items}</ul>")
        else:
            found.append(f"<p>On {name}, with the series: the same in every cell.</p>")
    grids = [table(f"{what}, {kernel(patched)}", Grid(stock[grid]), Grid(patched[grid]))
             for grid, what in KINDS]
    return "".join(found) + f'<div class="pair">{"".join(grids)}</div></section>'


def machine(record):
    asked = record["variables"]
    arch = asked["ARCH"] or "x86_64"
    if asked["ABI"] == "32":
        arch = f"{Cell(asked['BASE'], arch=asked['ARCH'], abi='32').machine}, on an {arch} kernel"
    return f"{arch}, CONFIG={asked['CONFIG']}" if asked["CONFIG"] else arch


def runs(records):
    """The cells, as they ran."""
    names = ["series", "on", "release", "outcome", "passed", "failed", "skipped", "known", "build",
             "boot", "by", "date (UTC)", "suite", "build salt"]
    lines = []
    for record in records:
        tests = record["counts"]
        series = record["series"] if record["variables"]["SERIES"] == "" else "stock"
        words = [series, machine(record), record["release"], record["verdict"]]
        words += [tests[name] for name in ("passed", "failed", "skipped", "known")]
        words += [f"{record['build']:.0f} s", f"{record['boot']:.0f} s", record["accelerator"].upper(),
                  record["date"].replace("T", " ")[:16], record["suite_hash"][:8], record["salt"][:8]]
        cells = "".join(f"<td>{text(word)}</td>" for word in words)
        lines.append(f'<tr><th scope="row">{text(record["variables"]["BASE"])}</th>{cells}</tr>')
    heads = "".join(f'<th scope="col">{name}</th>' for name in names)
    return boxed("Each cell of patches/bases.toml", heads, f"<tbody>{''.join(lines)}</tbody>", "runs", "base")


def filled(template, **parts):
    """A template of this folder with its parts, and the style that all pages share."""
    texts = []
    for name in (template, "page.css"):
        with open(os.path.join(HERE, name)) as file:
            texts.append(file.read())
    return string.Template(texts[0]).substitute(style=texts[1], **parts)


def embedded(data):
    """JSON that can stand in an element: nothing in it may end that."""
    return json.dumps(data, sort_keys=True).replace("<", "\\u003c")


def html(every):
    """The page of all cells, each with its record."""
    bases = {}
    for cell_, record in every.items():
        which = bases.setdefault(cell_.base, {"more": []})
        if cell_.machine == "x86_64" and not cell_.config:
            which[cell_.patched] = record
        else:
            which["more"].append(record)
    sets = [(which["stock"], which["patched"], which["more"]) for which in bases.values()]
    records = list(every.values())
    dates = sorted(record["date"][:10] for record in records)
    suites = sorted({record["suite_hash"] for record in records})
    left_out = ("folder", "key", "code", "folder_hash")
    data = [{name: value for name, value in record.items() if name not in left_out} for record in records]
    return filled(
        "page.html",
        dates=text(dates[0] if dates[0] == dates[-1] else f"{dates[0]} to {dates[-1]}"),
        suite=text(", ".join(suite[:12] for suite in suites)),
        accelerators=text(" and ".join(sorted({record["accelerator"].upper() for record in records}))),
        tests=f"{sum(record['counts']['passed'] for record in records):,}",
        cells=len(records),
        links=" ".join(f'<a href="#k-{text(base)}">{text(kernel(which["patched"]))}</a>'
                       for base, which in bases.items()),
        glance=glance(sets),
        sections="".join(section(base, which["stock"], which["patched"], which["more"])
                         for base, which in bases.items()),
        runs=runs(records),
        data=embedded({"schema": 1, "cells": data}),
    )
