# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The cells of the matrix, as patches/bases.toml lists them, and what each is made of. Call it in the
repository's root."""

import dataclasses
import hashlib
import json
import os
import sys

try:
    import tomllib
except ModuleNotFoundError:
    sys.exit("this needs Python 3.11 or newer: it has tomllib")

LIST = "patches/bases.toml"
SUITE = ["Cargo.lock", "Cargo.toml", "selftests/Cargo.toml", "selftests/deviations.toml", "selftests/src"]
RUNNER = ["qemu/Cargo.toml", "qemu/arch", "qemu/kernel.config", "qemu/splats.txt", "qemu/src"]


@dataclasses.dataclass(frozen=True)
class Cell:
    """One run: values as the runner's variables have them, empty where that is the default."""
    base: str
    series: str = ""
    arch: str = ""
    config: str = ""
    abi: str = ""

    @property
    def variables(self):
        return {field.upper(): value for field, value in dataclasses.asdict(self).items()}

    @property
    def patched(self):
        return "stock" if self.series else "patched"

    @property
    def machine(self):
        """The architecture of the suite, which may be the older one that the kernel runs too."""
        arch = self.arch or "x86_64"
        return {"x86_64": "i686", "arm64": "armv7"}[arch] if self.abi == "32" else arch

    @property
    def words(self):
        """What selects it; of each column of the table one."""
        return [self.base, self.patched, self.machine, self.config or "default"]

    @property
    def name(self):
        """A file's name; what is default is left out."""
        return "-".join(word for word in self.words if word not in ("x86_64", "default"))


def rows():
    with open(LIST, "rb") as file:
        return tomllib.load(file)["base"]


def cells():
    """Each base patched and stock, and patched as its row has more."""
    found = []
    for row in rows():
        found += [Cell(row["folder"]), Cell(row["folder"], series="none")]
        found += [Cell(row["folder"], **more) for more in row.get("more", [])]
    return found


def chosen(words):
    """The cells that have one of the words of each column that words are of, or are named."""
    found = cells()
    named = [cell for cell in found if cell.name in words]
    left = [word for word in words if word not in {cell.name for cell in named}]
    known = [list(dict.fromkeys(column)) for column in zip(*(cell.words for cell in found))]
    unknown = [word for word in left if not any(word in column for column in known)]
    if unknown:
        sys.exit(f"ci/matrix: {unknown[0]} is of no cell; there are {', '.join(sum(known, []))}")
    wanted = [[word for word in left if word in column] for column in known]
    fits = [cell for cell in found
            if all(not of or word in of for word, of in zip(cell.words, wanted))]
    both = [cell for cell in found if cell in named or (left or not words) and cell in fits]
    if not both:
        sys.exit(f"ci/matrix: no cell is {' '.join(words)}; see ci/matrix --list")
    return both


def digest(parts):
    """As files::hash of the runner: each part is followed by its length."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part + len(part).to_bytes(8, "little"))
    return sha.hexdigest()


def read(path):
    with open(path, "rb") as file:
        return file.read()


def tree(paths):
    """Names and contents of files, of folders all that is below but for the tests of it."""
    found = []
    for path in paths:
        below = [os.path.join(place, name) for place, _, names in os.walk(path) for name in names
                 if not name.endswith("_tests.rs")]
        for name in sorted(below) if os.path.isdir(path) else [path]:
            found += [name.encode(), read(name)]
    return found


def suite_hash():
    return digest(tree(SUITE))


def patches_hash(cell):
    """Of the patches' bytes, in their order; empty without patches."""
    if cell.series:
        return ""
    folder = os.path.join("patches", cell.base)
    names = sorted(name for name in os.listdir(folder) if name.endswith(".patch"))
    return digest(read(os.path.join(folder, name)) for name in names)


def key(cell):
    """A hash of all in the repository that decides how a cell comes out. Its base is a package whose
    version may change: that is not in it."""
    row = next(row for row in rows() if row["folder"] == cell.base)
    row = {name: value for name, value in row.items() if name != "more"}
    # One that is not there is the runner's to refuse.
    config = [path for path in [f"qemu/{cell.config}.config"] if os.path.exists(path)]
    said = json.dumps([cell.variables, row, patches_hash(cell), suite_hash()], sort_keys=True)
    return digest([said.encode(), *tree(RUNNER + config)])
