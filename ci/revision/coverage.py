# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""Which of the lines and branches that the series adds the suite runs, as gcov counts them in the guest."""

import os
import re
import shutil
import tempfile

import keep
import mutate
import planted
import series

NAME = "coverage"
ASKS = "each added line and branch is run by the suite"
PARTS = ["planted.py", "mutate.py", "gcov.config", "rules.toml", "series.py"]
CONFIG = "ci/revision/gcov.config"


def inputs(revision):
    return [revision.content(), *revision.suite()]


def check(revision):
    found = keep.Outcome()
    last = len(revision.patches)
    run = revision.booted(last, ("gcov", profiled(revision)), CONFIG=CONFIG, KVM="off")
    if run.summary["verdict"] != "pass":
        found.problems.append(f"the suite on the kernel that counts: {run.words}")
    counted = counts(revision, run)
    explained = {row["key"]: row["why"] for row in series.rules().get("uncovered", [])}
    rows, left, lines, branches = [], set(explained), 0, 0
    for path, added in mutate.added_lines([patch.path for patch in revision.patches]).items():
        if not path.endswith(".c"):
            continue
        if path not in counted:
            found.problems.append(f"{path}: gcov has no counts of it")
            continue
        for at in sorted(added):
            times, taken, text = counted[path].get(at, (None, [], ""))
            if times is None:
                continue
            lines += 1
            branches += len(taken)
            missed = ["line"] * (times == 0) or [f"branch {n} of {len(taken)}" for n, one in enumerate(taken)
                                                 if not one]
            for what in missed:
                key = f"{path}: {' '.join(text.split())}: {what}"
                left.discard(key)
                rows.append([path, str(at), text.strip(), what, explained.get(key, "not explained")])
                if key not in explained:
                    found.problems.append(f"not run: {key}")
    found.problems += [f"ci/revision/rules.toml explains what is run: {key}" for key in sorted(left)]
    if not lines:
        found.problems.append("no added line was counted")
    found.tables.append(keep.Table("Added lines and branches that are not run", [
        "file", "line", "code", "what", "why"], rows))
    found.line = f"{lines} lines and {branches} branches counted; {len(rows)} not run, each explained"
    if found.problems:
        found.line = f"{lines} lines and {branches} branches counted; {len(rows)} not run"
    return found


def profiled(revision):
    """The diff that has the objects of the series counted."""
    with tempfile.TemporaryDirectory() as place:
        planted.patched_files(revision, place)
        texts = {}
        for path in revision.objects:
            makefile = os.path.join(os.path.dirname(path), "Makefile")
            text = texts.get(makefile) or keep.read(os.path.join(place, makefile))
            texts[makefile] = f"{text}GCOV_PROFILE_{os.path.basename(path)} := y\n"
        return mutate.diff(place, texts)


def counts(revision, run):
    """{source: {line: (times run, [whether each branch was taken], text)}}, from what the guest said."""
    with open(os.path.join(run.folder, "console.log"), errors="replace") as file:
        said = re.findall(r"gcov: \S*?/gcov(/\S+\.gcda) (\d+) ([0-9a-f]+)\s*$", file.read(), re.M)
    if not said:
        raise keep.Refused(f"the guest said no counts: {run.folder}/console.log")
    files = {}
    for path, offset, data in said:
        bytes_ = bytes.fromhex(data)
        have = files.setdefault(path, bytearray())
        if int(offset) != len(have):
            raise keep.Refused(f"{path}: the console has lost bytes {len(have)} to {offset}")
        have += bytes_
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        for path, data in files.items():
            name = os.path.basename(path)[:-5]
            shutil.copy(path[:-5] + ".gcno", scratch)
            with open(f"{scratch}/{name}.gcda", "wb") as file:
                file.write(data)
            keep.run(["gcov", "-b", "-c", "-l", "-p", f"{name}.gcda"], cwd=scratch)
            for made in os.listdir(scratch):
                if made.endswith(".gcov"):
                    source, lines = parsed(keep.read(f"{scratch}/{made}"))
                    for wanted in revision.objects:
                        if source.endswith(wanted[:-2] + ".c"):
                            found[wanted[:-2] + ".c"] = lines
                    os.remove(f"{scratch}/{made}")
    return found


def parsed(text):
    """A .gcov file: its source, and its lines."""
    source, lines, at = "", {}, 0
    for line in text.splitlines():
        match = re.match(r"\s*([^:]+):\s*(\d+):(.*)$", line)
        if match and match[2] == "0":
            if match[3].startswith("Source:"):
                source = match[3][7:]
        elif match:
            times, at = match[1].strip().rstrip("*"), int(match[2])
            # Of a line that is in the file several times, inlined, any will do.
            was = lines.get(at, (None, [], ""))[0]
            now = None if times == "-" else int(times) if times.isdigit() else 0
            if now is not None or at not in lines:
                lines[at] = (now if was is None else max(was, now or 0), lines.get(at, (0, [], ""))[1], match[3])
        elif line.startswith("branch") and at in lines:
            lines[at][1].append("never executed" not in line and not line.split("taken ")[1].startswith("0"))
    return source, lines
