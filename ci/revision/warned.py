# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""What compilers and checkers say, before and after each patch: only what is new counts. And the touched
objects in kernels that lack what they are for."""

import concurrent.futures
import glob
import os
import re
import sys

import cells
import kbuild
import keep
import series
import tree

NAME = "warnings"
ASKS = "gcc and clang W=1, sparse, kernel-doc, coccicheck: nothing new; builds with options off, i386, arm64"
PARTS = ["kbuild.py", "rules.toml", "tree.py", "series.py"]
FOLDERS = ["mm/", "fs/hugetlbfs/", "drivers/dma-buf/"]
COMPILERS = {"gcc W=1, sparse": ("gcc", ["W=1", "C=1", "CHECK=sparse"]), "clang W=1": ("clang", ["W=1", "CC=clang"])}
# Each off in turn, with what can't be on without it.
OFF = {"none": [], "SHMEM": ["TMPFS", "HUGETLBFS"], "TMPFS": ["HUGETLBFS"], "HUGETLBFS": [], "MEMFD_CREATE": ["TMPFS", "HUGETLBFS"],
       "UDMABUF": [], "SWAP": []}
GAVE_UP = "spatch gave up"
MISSING = "is not available or not up to date"
ARCHES = ["x86_64", "i386", "arm64"]
NO_CHANGE = "No functional change"


def inputs(revision):
    # Of clang the kernel wants 17 or newer, as Debian 13 has it.
    keep.need(sparse="sparse", spatch="coccinelle", clang="clang", aarch64_linux_gnu_gcc="gcc-aarch64-linux-gnu")
    tools = ("gcc", "aarch64-linux-gnu-gcc", "clang", "sparse", "spatch")
    versions = [keep.run([tool, "--version"]).splitlines()[0] for tool in tools]
    claims = [str(NO_CHANGE in patch.message) for patch in revision.patches]
    return [revision.content(), *claims, *versions,
            cells.digest(cells.tree(["qemu/kernel.config", "qemu/arch"]))]


def check(revision):
    found, base = keep.Outcome(), tree.of(revision)
    base.am(revision.patches)
    folders = FOLDERS + sorted({os.path.dirname(path) + "/" for path in revision.objects
                                if not path.startswith(tuple(FOLDERS))})
    rows = []
    for what, (name, more) in COMPILERS.items():
        rows.append([what, *part(revision, found, what, lambda: compiled(
            revision, base, what, kbuild.Build(base, name, more=more), folders))])
    for what, look in (("kernel-doc", kernel_doc), ("coccicheck", coccicheck)):
        rows.append([what, *part(revision, found, what, lambda: looked_at(revision, base, what, look))])
    heads = ["", "base", *(str(patch.number) for patch in revision.patches)]
    found.tables.append(keep.Table("New warnings, by patch; at the base, how many there are", heads, rows))
    found.tables.append(keep.Table("Touched objects that compile with an option off", [
        "", *(f"{name}=n" if name != "none" else "all on" for name in OFF)],
        part(revision, found, "options", lambda: options(revision, base))))
    found.line = f"{' '.join(folders)}, by {len(rows)} checkers, {len(OFF) * len(ARCHES)} configs"
    return found


def part(revision, found, what, look):
    """A part's row or rows, kept by itself; its problems are the gate's."""
    row, problems = keep.once("warned", [what, keep.code(sys.modules[__name__]), *inputs(revision)], look,
                              good=lambda both: not both[1])
    found.problems += problems
    return row


def compiled(revision, base, what, build, folders):
    """All of the folders at the base; then what each patch has make compile again."""
    problems = []
    base.checkout(0)
    build.configure()
    said = build.make("-s", "prepare")
    if MISSING in said:
        # make goes on without it: what was not asked has found nothing.
        raise keep.Refused(f"{what}: the kernel says that the checker {MISSING}; sparse 0.6.5 is")
    known = kbuild.warnings(build.make("-s", "-k", *folders))
    row, code = [str(sum(known.values()))], disassembly(revision, build)
    for patch in revision.patches:
        base.checkout(patch.number)
        said = build.make("-s", "-k", *folders, good=None)
        now = kbuild.warnings(said)
        new = now - known
        known |= now
        problems += [f"{patch.name}: {what}: {line}" for line in new]
        if "Error " in said and not new:
            problems.append(f"{patch.name}: {what}: {said.strip().splitlines()[-1]}")
        before, code = code, disassembly(revision, build)
        if NO_CHANGE in patch.message and before != code:
            problems.append(f"{patch.name}: says {NO_CHANGE.lower()}, and {what} makes other code of "
                            f"{', '.join(path for path in code if code[path] != before.get(path))}")
        row.append(str(sum(new.values())))
    return row, problems


def disassembly(revision, build):
    """Instructions of each object; addresses in its own sections stay."""
    found = {}
    for path in revision.objects:
        whole = os.path.join(build.place, path)
        if os.path.exists(whole):
            said = keep.run(["objdump", "-dr", "--no-show-raw-insn", whole])
            found[path] = keep.digest([said.split("\n", 3)[-1]])
    return found


def kernel_doc(base, path):
    tool = next((name for name in ("scripts/kernel-doc", "tools/docs/kernel-doc", "scripts/kernel-doc.py")
                 if os.path.exists(os.path.join(base.path, name))), None)
    if not tool:
        raise keep.Refused("the base has no kernel-doc")
    said = keep.run([tool, "-none", "-Wall", path], cwd=base.path, good=None)
    if "Traceback" in said:
        raise keep.Refused(f"{tool} {path}: {said.strip().splitlines()[-1]}")
    return [re.sub(r":\d+:?", ":", line) for line in said.splitlines() if re.match(r"(Warning|Error)|\S+:\d+", line)]


def coccicheck(base, path):
    """Every semantic patch of the tree, on one file. Kept by the file's content."""
    if not path.endswith(".c"):
        return []

    def asked(rule):
        options = re.search(r"^// Options: (.*)$", keep.read(rule), re.M)
        try:
            said = keep.run(["spatch", "-D", "report", "--very-quiet", "--no-show-diff", "--timeout", "120",
                             *(options[1].split() if options else []), "--cocci-file", rule, path, "-I", "include"],
                            cwd=base.path)
        except keep.Refused:
            # What a rule finds at the base and gives up on later must not look as if it were gone.
            return [f"{path}: {os.path.relpath(rule, base.path)}: {GAVE_UP}"]
        return [line for line in said.splitlines() if line.startswith(path)]

    def find():
        rules = [rule for rule in glob.glob(f"{base.path}/scripts/coccinelle/**/*.cocci", recursive=True)
                 if re.search(r"^virtual .*report", keep.read(rule), re.M)]
        if not rules:
            raise keep.Refused("the base has no semantic patches")
        with concurrent.futures.ThreadPoolExecutor(int(kbuild.JOBS)) as pool:
            return sorted(line for lines in pool.map(asked, rules) for line in lines)

    version = keep.run(["spatch", "--version"]).splitlines()[0]
    said = keep.once("cocci", [version, base.revision.id, path, keep.read(os.path.join(base.path, path))], find,
                     good=lambda lines: not any(GAVE_UP in line for line in lines))
    # Lines move.
    return [re.sub(r":\d+(:\d+-\d+)?:|(?<= line )\d+", ":", line) for line in said]


def looked_at(revision, base, what, look):
    """A checker of single files, at the base and after each patch that changes them."""
    base.checkout(0)
    paths = sorted({path for patch in revision.patches for path in patch.compiled
                    if os.path.exists(os.path.join(base.path, path))})
    known = {path: look(base, path) for path in paths}
    row, problems = [str(sum(map(len, known.values())))], []
    for patch in revision.patches:
        base.checkout(patch.number)
        new = []
        for path in patch.compiled:
            now = look(base, path)
            new += [line for line in set(now) if now.count(line) > known.get(path, []).count(line)]
            known[path] = now
        problems += [f"{patch.name}: {what}: {line}" for line in sorted(new)]
        row.append(str(len(new)))
    return row, problems


def options(revision, base):
    """The touched objects with the whole series, in kernels without what they are for."""
    base.checkout(len(revision.patches))
    rows, problems, built = [], [], series.rules()["built"]
    for arch in ARCHES:
        build = kbuild.Build(base, arch, arch)
        row = [arch]
        build.configure()
        whole = keep.read(os.path.join(build.place, ".config"))
        for name, others in OFF.items():
            off = [] if name == "none" else [name, *others]
            with open(os.path.join(build.place, ".config"), "w") as file:
                file.write(whole)
            build.add(*(f"# CONFIG_{option} is not set" for option in off))
            if off and build.value(name) != "n":
                problems.append(f"{arch}: CONFIG_{name} can't be switched off: {build.value(name)}")
            made = 0
            build.make("-s", "prepare")
            for path in revision.objects:
                # make takes a single object also of what the config leaves out.
                if build.value(built.get(path, "MMU")) == "n":
                    continue
                said = build.make("-s", path, good=None)
                failed = kbuild.warnings(said) or "Error " in said
                if failed and not at_base(base, build, path, said):
                    problems.append(f"{arch} without {name}: {path}: {said.strip().splitlines()[0]}")
                made += not failed
            if not made:
                problems.append(f"{arch} without {name}: nothing was compiled")
            row.append(f"{made} objects")
        rows.append(row)
    return rows, problems


def at_base(base, build, path, said):
    """Whether the base says the same there."""
    last = len(base.revision.patches)
    base.checkout(0)
    before = build.make("-s", path, good=None)
    base.checkout(last)
    return kbuild.warnings(before) >= kbuild.warnings(said) and ("Error " in before or "Error " not in said)
