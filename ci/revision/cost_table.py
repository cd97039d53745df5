# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""What a series costs files that nobody seals: the instructions of each operation of cost.c on the stock
kernel and on the patched one, in a guest whose clock counts them.

Usage: ci/with-python ci/revision/cost_table.py [series]     as SERIES= (default: that of the base)

Only a stock kernel and one with the series are looked at, both as the runner configures them. The figures
are those of QEMU's TCG and of this compiler: no time, no cache, no branch that was predicted wrongly.
"""

import collections
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
if os.path.dirname(HERE) not in sys.path:
    sys.path.insert(0, os.path.dirname(HERE))

import running  # noqa: E402

SOURCE = os.path.join(HERE, "cost.c")
WORK = os.path.join(ROOT, "target/revision")

# Operations, by what their names begin with, that the series must leave as they are: their ratio, and no
# other, is 1.000 to three decimals, and what they take no more than MORE instructions above what they took,
# since a whole new branch is less than a thousandth of some. An mmap() and munmap() take one more.
SAME = ("write", "pwrite", "read", "pread", "splice", "mmap", "fault")
MORE = 1.5
# What any other may cost.
BOUND = 1.005
ADD = "is the file preserved by a live update, and the new seal's bit: 9 to 11 instructions"
# (beginning of an operation, kind): what it may cost, and why that is not BOUND or SAME.
BOUNDS = {
    ("fcntl-add", "shmem"): (1.04, ADD),
    ("fcntl-add", "hugetlb"): (1.04, ADD),
    ("fallocate-present", "hugetlb"): (1.01, "the new seal is looked at first, and more seals where the file would "
                                             "grow: 5 instructions"),
    ("mmap-grows", "hugetlb"): (BOUND, "mmap() looks at the seals when the file would grow, and so does the "
                                       "ftruncate() that makes it short again: 6 instructions"),
}

Count = collections.namedtuple("Count", "calls least most")
# Instructions a call, to a tenth, and their ratio to three decimals. None: there is no figure.
Row = collections.namedtuple("Row", "operation kind stock patched ratio")


def operations():
    """(operation, kind) of each row of cost.c's table, in its order."""
    with open(SOURCE) as file:
        return re.findall(r'^\t\{ "([\w-]+)", "(\w+)", .*, \d+ \},$', file.read(), re.M)


def compiled():
    """The /init that counts."""
    os.makedirs(WORK, exist_ok=True)
    init = os.path.join(WORK, "cost")
    subprocess.run(["cc", "-static", "-O2", "-Wall", "-Wextra", "-Werror", "-o", init,
                    os.path.join(os.path.dirname(HERE), "sequence-init.c"), SOURCE], check=True)
    return init


def parse(console):
    """{(operation, kind): Count} of a whole console. Refuses (ValueError) one that is not as expected."""
    lines = console.replace("\r", "").splitlines()
    if "sequence: ended with 0" not in lines:
        said = [line for line in lines if line.startswith("cost:")] or lines[-1:] or ["not a word"]
        raise ValueError(f"cost.c did not come to its end: {said[0]}")
    found = {}
    for line in lines:
        figures = re.fullmatch(r"cost: (\S+) (\S+) ([1-9]\d*) ([1-9]\d*) (\d+)", line)
        if figures:
            key = figures[1], figures[2]
            if key in found:
                raise ValueError(f"{' '.join(key)} is there twice")
            found[key] = Count(*map(int, figures.groups()[2:]))
        elif line.startswith("cost:"):
            raise ValueError(f"not understood: {line}")
    for lacks, words in [(set(operations()) - set(found), "is missing"),
                         (set(found) - set(operations()), "is of no row of cost.c")]:
        if lacks:
            raise ValueError(f"{' '.join(sorted(lacks)[0])} {words}")
    return found


def measure(series, **variables):
    """{(operation, kind): Count} on the kernel with that series: as SERIES=, empty for the base's own.
    The runner gets the variables too. Refuses (ValueError) a run that did not give all."""
    qemu = os.path.join(HERE, "qemu-icount")
    run = running.Run(**{"SERIES": series, "INIT": compiled(), "CPUS": "1", "QEMU": qemu, "KVM": "off",
                         "ARCH": "", "ABI": "", "CONFIG": "", **variables})
    # The verdict is that there was no suite.
    if not run.folder:
        raise ValueError(f"SERIES={series}: {run.words}")
    path = os.path.join(run.folder, "console.log")
    if not os.path.exists(path):
        raise ValueError(f"SERIES={series}: no boot: {run.words}")
    with open(path, errors="replace") as console:
        try:
            return parse(console.read())
        except ValueError as error:
            raise ValueError(f"SERIES={series}: {error}") from None


def table(stock, patched):
    """Rows of what measure() gave of the two; also for what only one of them has, or neither."""
    rows = []
    for key in dict.fromkeys([*operations(), *stock, *patched]):
        each = [of[key].least / of[key].calls if key in of else None for of in (stock, patched)]
        ratio = None if None in each else round(each[1] / each[0], 3)
        rows.append(Row(*key, *(one and round(one, 1) for one in each), ratio))
    return rows


def rule(row):
    """(least, most, why) that the row's ratio may be; the least is 0 if it may be cheaper, and why is empty of
    what goes by SAME and BOUND."""
    for (name, kind), (bound, why) in BOUNDS.items():
        if row.operation.startswith(name) and row.kind == kind:
            return 0, bound, why
    return (1, 1, "") if row.operation.split("-")[0] in SAME else (0, BOUND, "")


def problems(rows):
    """A line for each row that breaks its rule."""
    found = []
    for row in rows:
        least, most, _ = rule(row)
        name = f"{row.operation} on {row.kind}"
        if row.ratio is None:
            found.append(f"{name}: no figure of the {'stock' if row.stock is None else 'patched'} kernel")
        elif not least <= row.ratio <= most:
            bound = "may not change" if least else f"may be {most:.3f} at most"
            found.append(f"{name}: {row.stock:.1f} became {row.patched:.1f}, {row.ratio:.3f} times: {bound}")
        elif least and row.patched - row.stock > MORE:
            found.append(f"{name}: {row.stock:.1f} became {row.patched:.1f}: may be {MORE} more at most")
    return found if rows else ["no operation was counted"]


def text(rows):
    """The table for people: instructions a call."""
    lines = [f"{'operation':18}{'kind':9}{'stock':>10}{'patched':>10}{'more':>7}{'ratio':>8}"]
    for row in rows:
        figures = [f"{'-' if each is None else format(each, '.1f'):>10}" for each in (row.stock, row.patched)]
        more = f"{'-':>7}{'-':>8}"
        if row.ratio is not None:
            more = f"{row.patched - row.stock:>7.1f}{row.ratio:>8.3f}"
        lines.append(f"{row.operation:18}{row.kind:9}{''.join(figures)}{more}")
    return "\n".join(lines)


def main():
    if len(sys.argv) > 2 or sys.argv[1:2] in (["-h"], ["--help"]):
        sys.exit(__doc__.strip())
    os.chdir(ROOT)
    try:
        rows = table(measure("none"), measure(sys.argv[1] if sys.argv[1:] else ""))
    except ValueError as error:
        sys.exit(f"cost_table: {error}")
    print(text(rows))
    found = problems(rows)
    for problem in found:
        print(f"PROBLEM {problem}")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
