#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The kernel's own selftests, before and after the series: those of intree.toml, built from the base's tree
and from the patched one, each run on its kernel, and the base's programs on the patched kernel as well,
where a regression shows without new tests.

Usage: ci/with-python ci/revision/intree.py [series]     (patches/mainline)
"""

import collections
import os
import re
import shutil
import subprocess
import sys
import tomllib

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.dirname(HERE))

import keep  # noqa: E402
import uapi  # noqa: E402
from series import Patch, bare, numbered, runner, variables  # noqa: E402

PLACE = "target/revision/intree"
TESTS = "tools/testing/selftests"
# Into a pipe, a program that aborts would say nothing, and a forked one all twice.
LINES = """#include <stdio.h>
__attribute__((constructor)) static void lines(void) { setvbuf(stdout, NULL, _IOLBF, 0); }
"""
# As in mm/Makefile and lib.mk, and static.
FLAGS = ["-static", "-s", "-w", "-O2", "-no-pie", "-U_FORTIFY_SOURCE", "-D_GNU_SOURCE=",
         "-D_FILE_OFFSET_BITS=64"]
LIBRARIES = ["-lcap", "-lrt", "-lpthread", "-lm"]
# MiB: udmabuf asks for 1024 huge pages.
MEMORY = "4096"
TIP, OLD = "tip", "old programs"
# A program's own outcome, among those of its tests.
STATUS = "status"
SKIPPED = 4

Difference = collections.namedtuple("Difference", "program test base tip why")
# Why there is no answer.
Failed = keep.Refused


def table():
    with open(os.path.join(HERE, "intree.toml"), "rb") as file:
        return tomllib.load(file)


def build(tree, out):
    """(name, path of the static binary) of each program, with the headers of the tree itself; the tree is
    only read."""
    tree, out = os.path.abspath(tree), os.path.abspath(out)
    headers = os.path.join(out, "headers")
    os.makedirs(headers, exist_ok=True)
    # Not headers_install, which needs rsync.
    keep.run(["make", "-s", "-C", tree, f"O={headers}", "headers"], env=uapi.small())
    include, binaries = os.path.join(out, "include"), os.path.join(out, "programs")
    os.makedirs(include, exist_ok=True)
    shutil.rmtree(binaries, ignore_errors=True)
    os.makedirs(binaries)
    with open(os.path.join(include, "local_config.h_gen"), "w") as file:
        file.write("/* What mm/check_config.sh writes where there is no liburing. */\n")
    lines = os.path.join(out, "lines.c")
    with open(lines, "w") as file:
        file.write(LINES)
    asked, built, found = table(), set(), []
    for program in asked["program"]:
        first, _, name = program["sources"][0].rpartition("/")
        path = os.path.join(binaries, name.removesuffix(".c"))
        if path not in built:
            # As make does it, in the folder: what a program makes may be called after its __FILE__.
            folder = os.path.join(tree, TESTS, first)
            sources = [os.path.relpath(source, first)
                       for source in (*program["sources"], *asked["shared"].get(first, []))]
            folders = [*(os.path.join(tree, TESTS, name) for name in ("", *program.get("include", []))), tree]
            keep.run(["cc", *FLAGS, "-o", path, *(f"-I{name}" for name in (*folders, include)),
                      "-isystem", f"{headers}/usr/include", "-isystem", f"{tree}/tools/include/uapi",
                      lines, *sources, *LIBRARIES], cwd=folder)
            built.add(path)
        found.append((program["name"], path))
    return found


def words(strings):
    return "(const char *const[]){ " + "".join(f'"{text}", ' for text in strings) + "NULL }"


def init(binaries, out):
    """One static /init that holds them all: the guest has no other file."""
    os.makedirs(out, exist_ok=True)
    numbers = {path: number for number, path in enumerate(dict.fromkeys(path for _, path in binaries))}
    rows = {program["name"]: program for program in table()["program"]}
    with open(os.path.join(out, "programs.h"), "w") as file:
        for path, number in numbers.items():
            file.write(f'asm(".pushsection .rodata\\nbegin_{number}: .incbin \\"{os.path.abspath(path)}\\"\\n'
                       f'end_{number}:\\n.popsection");\n'
                       f"extern const char begin_{number}[], end_{number}[];\n")
        file.write("static const struct program programs[] = {\n")
        for name, path in binaries:
            row, number = rows[name], numbers[path]
            file.write(f'\t{{ "{name}", begin_{number}, end_{number}, {words(name.split())},\n'
                       f"\t  {words(row.get('needs', []))}, {row['limit']}, {row.get('huge_pages', 0)} }},\n")
        file.write("\t{ .name = NULL }\n};\n")
    path = os.path.join(out, "init")
    keep.run(["cc", "-static", "-no-pie", "-O2", "-Wall", "-Wextra", "-Werror", f"-I{out}", "-o", path,
              os.path.join(HERE, "intree-init.c")])
    return os.path.abspath(path)


def ran(do, **more):
    """The runner, over. It can't pass: its /init is none of its own."""
    return subprocess.run(runner(do), env=variables(**more), capture_output=True, text=True, check=False)


def tree(series, **base):
    """The source tree of that kernel, which is built if it is not."""
    built, applied = ran("build", SERIES=series, **base), ran("apply", SERIES="none", **base)
    vmlinux = re.search(r"^(/.*)/build/vmlinux$", built.stdout, re.M)
    pristine = re.search(r"^base tree: (.*)$", applied.stdout, re.M)
    if built.returncode or not vmlinux or not pristine:
        raise Failed(f"SERIES={series}: no kernel: {(built.stderr or applied.stderr).strip()}")
    if series == "none":
        return pristine[1]
    return os.path.join(vmlinux[1], "source")


def outcomes(series, binary, **base):
    """Boots that kernel with that /init: {program: {"status": how it ended, "tests": {name: outcome}}}, and
    one more, "kernel", of what the console should not say."""
    done = ran("run", SERIES=series, INIT=binary, MEMORY=MEMORY, **base)
    folder = re.search(r"^results +(\S+)$", done.stdout, re.M)
    if not folder:
        raise Failed(f"SERIES={series}: the runner booted nothing: {done.stderr.strip()}")
    texts = []
    for name in ("results.jsonl", "console.log"):
        with open(os.path.join(folder[1], name), encoding="utf-8", errors="replace") as file:
            # init writes NULs where there is nothing to say.
            texts.append(file.read().replace("\0", "").replace("\r", ""))
    found = parse(texts[0])
    whole = "reboot: Restarting system" in texts[1]
    found["kernel"] = {STATUS: 0 if whole else "no end", "tests": splats(texts[1])}
    return found


def parse(text):
    """The programs' outcomes, of what came from the guest. One without an end is there, and says so."""
    found = {}
    for program in table()["program"]:
        name = program["name"]
        section = re.search(rf"^intree: {re.escape(name)} begin\n(.*?)"
                            rf"(?:^intree: {re.escape(name)} ended with (\S+)$|\Z)", text, re.M | re.S)
        status = section[2] if section and section[2] else "no end" if section else "not begun"
        if re.fullmatch(r"-?\d+", status):
            status = int(status)
        said = section[1] if section else ""
        found[name] = {STATUS: status, "tests": {**tests(program, said), **steps(program, said, status)}}
    return found


def tests(program, said):
    """Those of the KTAP lines, by name: numbers move when a test is added."""
    found, plan = {}, None
    for line in said.splitlines():
        planned = re.match(r"1\.\.(\d+)", line)
        if planned and plan is None:
            plan = int(planned[1])
        result = re.match(r"(ok|not ok) \d+(?= |$)(.*)$", line)
        if not result:
            continue
        # kselftest.h has "# SKIP" before the name, kselftest_harness.h behind it.
        ahead = re.match(r" # ([A-Za-z]+) (.*)$", result[2])
        name, _, directive = (ahead[2], "", ahead[1]) if ahead else result[2].partition(" # ")
        for pattern in program.get("strip", []):
            name = re.sub(pattern, "", name)
        word, plain = directive.split(" ")[0].lower(), "pass" if result[1] == "ok" else "fail"
        listed = word in ("skip", "xfail", "xpass", "error")
        found[unique(name.strip(" -") or "without a name", found)] = word if listed else plain
    if plan is not None and plan != len(found):
        found["plan"] = f"{len(found)} of {plan}"
    return found


def unique(name, found):
    key, again = name, 1
    while key in found:
        again += 1
        key = f"{name} ({again})"
    return key


def steps(program, said, status):
    """Those of a program that says only where it is, and stops at the first failure."""
    found = {}
    for line in said.splitlines():
        if re.fullmatch(program.get("steps", "(?!)"), line):
            found[unique(line.strip(), found)] = "pass"
    if found and status != 0:
        found[list(found)[-1]] = "fail"
    return found


def splats(console):
    """{line without what differs from boot to boot: "said"}, of what qemu/splats.txt lists."""
    with open(os.path.join(ROOT, "qemu/splats.txt")) as file:
        texts = re.findall(r"^(?:panic|splat) \| (.*)$", file.read(), re.M)
    lines = [line for line in console.splitlines() if any(text in line for text in texts)]
    return {re.sub(r"\d+", "N", re.sub(r"^\[ *[\d.]+\] |0x[0-9a-f]+", "", line)): "said" for line in lines}


def explained(row, run, program, test, base, tip):
    return (row["program"] == program and row["run"] in ("", run) and re.fullmatch(row["tests"], test)
            and re.fullmatch(row["base"], base) and re.fullmatch(row["tip"], tip))


def compare(base, tip, allowed, run=TIP):
    """The differences between two outcomes(), and the problems: those that no row of `allowed` explains, and
    programs that ran nowhere, where nothing can be the same. Rows that served are marked."""
    differences, problems = [], []
    for program in dict.fromkeys([*base, *tip]):
        sides = [found.get(program, {STATUS: "not there", "tests": {}}) for found in (base, tip)]
        names = [STATUS, *dict.fromkeys(name for side in sides for name in side["tests"])]
        # Of a program that did not get to its end, that is the problem, and not each test that is missing.
        lost = False
        for name in names:
            pair = [str({STATUS: side[STATUS], **side["tests"]}.get(name, "absent")) for side in sides]
            idle = name == STATUS and any(ran_not(side) for side in sides)
            if (pair[0] == pair[1] and not idle) or (lost and "absent" in pair):
                continue
            reasons = [row for row in allowed if explained(row, run, program, name, *pair)]
            for row in reasons:
                row["served"] = True
            why = f"{reasons[0]['patch']}: {reasons[0]['why']}".lstrip(": ") if reasons else None
            differences.append(Difference(program, name, *pair, why))
            if not reasons:
                verb = "did not run to its end" if pair[0] == pair[1] else "differs"
                problems.append(f"{run}: {program}: {name} {verb}: {pair[0]} on the base, {pair[1]} here")
                lost |= idle
    return differences, problems


def ran_not(side):
    """Whether a program has nothing to compare: it never ran, was stopped, or skipped itself."""
    return not isinstance(side[STATUS], int) or (
        side[STATUS] == SKIPPED and not set(side["tests"].values()) - {"skip"})


def stale(allowed):
    return [f"intree.toml: nothing is explained by: {row['program']}, {row['tests']}: {row['patch']}"
            for row in allowed if row["patch"] and "served" not in row]


def all_runs(series, **base):
    """outcomes() of the base, of the tip, and of the base's programs on the tip."""
    inits = {}
    for kind, of in (("base", "none"), ("tip", series)):
        out = os.path.join(ROOT, PLACE, kind)
        inits[kind] = init(build(tree(of, **base), out), out)
    return [outcomes("none", inits["base"], **base), outcomes(series, inits["tip"], **base),
            outcomes(series, inits["base"], **base)]


def cell(side):
    """How it ended, and how many tests did how: "0: 12 pass, 3 skip"."""
    counts = collections.Counter(side["tests"].values())
    said = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    return f"{side[STATUS]}: {said}" if said else str(side[STATUS])


def rows(runs):
    """The table: program, base, tip, the base's programs on the tip."""
    return [[program, *(cell(run[program]) for run in runs)] for program in runs[0]]


def allowed_by(patches):
    """Rows for what no patch explains, and for these patches, by subject; for all of them if none is said."""
    subjects = patches and {bare(patch.subject) for patch in patches}
    return [row for row in table()["allowed"] if not row["patch"] or not patches or row["patch"] in subjects]


def judged(runs, patches=None):
    """All differences, each with its run, and all problems."""
    allowed = allowed_by(patches)
    differences, problems = [], []
    for run, found in ((TIP, runs[1]), (OLD, runs[2])):
        more = compare(runs[0], found, allowed, run)
        differences += [(run, difference) for difference in more[0]]
        problems += more[1]
    return differences, problems + stale(allowed)


def grouped(differences):
    """Those of a program that are alike as one row: run, program, tests, base, tip, why."""
    groups = {}
    for run, found in differences:
        groups.setdefault((run, found.program, found.base, found.tip, found.why), []).append(found.test)
    return [[run, program, names[0] + (f" and {len(names) - 1} more" if names[1:] else ""), base, tip,
             why or "NOT EXPLAINED"] for (run, program, base, tip, why), names in groups.items()]


def main():
    os.chdir(ROOT)
    folder = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else "patches/mainline")
    patches = [Patch.read(path, number) for number, path in enumerate(numbered(folder), 1)]
    try:
        runs = all_runs(folder)
    except Failed as error:
        sys.exit(f"intree: {error}")
    show(runs, patches)


def show(runs, patches):
    """Prints the table and the differences; exits with the problems."""
    lines = [["program", "base", TIP, OLD], *rows(runs)]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths)).rstrip())
    differences, problems = judged(runs, patches)
    for run, program, test, base, tip, why in grouped(differences):
        print(f"{run}: {program}: {test}: {base} -> {tip}: {why}")
    sys.exit("\n".join(problems) if problems else None)


if __name__ == "__main__":
    main()
