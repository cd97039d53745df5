# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""What user space sees of the headers: nothing that was there changes, and what comes is the seal alone."""

import difflib
import os
import re
import shutil
import tempfile

import keep
import series
import tree

NAME = "uapi"
ASKS = "check-uapi.sh clean; the installed headers differ by one #define"
PARTS = ["rules.toml", "tree.py", "series.py"]


def inputs(revision):
    keep.need(abidiff="abigail-tools", rsync="rsync")
    return [revision.content(), series.compiler(), keep.run(["abidiff", "--version"])]


def check(revision):
    found = keep.Outcome()
    base, last = tree.of(revision), len(revision.patches)
    base.checkout(last)
    touched = sorted({path for patch in revision.patches for path in patch.files if "include/uapi/" in path
                      and not path.startswith("tools/")})
    env = dict(os.environ, GIT_CEILING_DIRECTORIES=base.place)
    with tempfile.TemporaryDirectory(dir=base.place) as log:
        said = keep.run(["scripts/check-uapi.sh", "-b", f"k{last}", "-p", "k0", "-l", f"{log}/errors"],
                        cwd=base.path, env=env, good=None)
        errors = keep.read(f"{log}/errors") if os.path.exists(f"{log}/errors") else ""
    clean = re.search(r"^(All \d+ UAPI headers compatible .*|No changes to UAPI headers were applied)", said, re.M)
    if not clean or "error" in said.lower():
        found.problems.append(f"check-uapi.sh: {(errors or said).strip()[-400:]}")
    before, after = installed(base, 0), installed(base, last)
    lines = [f"{path}: {line}" for path in sorted(before.keys() | after.keys())
             for line in difflib.unified_diff(before.get(path, "").splitlines(), after.get(path, "").splitlines(),
                                              n=0, lineterm="") if line[0] in "+-" and line[:3] not in ("+++", "---")]
    wanted = series.rules()["uapi"]["lines"] if touched else []
    if [re.sub(r"\s+", " ", line) for line in lines] != wanted:
        found.problems.append(f"make headers_install differs by {lines or 'nothing'}, not by {wanted}")
    found.tables.append(keep.Table("make headers_install, before and after", ["line"], [[line] for line in lines]))
    found.notes.append("check-uapi.sh: " + (clean[0] if clean else "no verdict"))
    found.line = (f"{' '.join(touched) or 'nothing'} touched; "
                  f"what is installed differs by {'; '.join(lines) or 'nothing'}")
    return found


def installed(base, number):
    """Each header as it is installed then."""
    base.checkout(number)
    place = os.path.join(base.place, f"headers-{number}")
    shutil.rmtree(place, ignore_errors=True)
    keep.run(["make", "-s", "-C", base.path, f"O={place}/build", "ARCH=x86_64",
              f"INSTALL_HDR_PATH={place}/usr", "headers_install"], env=small())
    found = {}
    for at, _, names in os.walk(f"{place}/usr/include"):
        for name in names:
            path = os.path.join(at, name)
            found[os.path.relpath(path, f"{place}/usr/include")] = keep.read(path)
    shutil.rmtree(place)
    if not found:
        raise keep.Refused("make headers_install installed nothing")
    return found


def small():
    """The environment of the kernel's make, without the ARCH, LLVM... of a developer's shell."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, "LC_ALL": "C"}
