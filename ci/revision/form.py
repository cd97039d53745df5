# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The series as mails: what a maintainer sees before reading a line of code."""

import os
import re
import tempfile

import keep
import series
import tree

NAME = "form"
ASKS = "applies, numbered, signed, addressed, checkpatch --strict"
PARTS = ["rules.toml", "../checkpatch-allowed.txt", "tree.py", "series.py"]
ALLOWED = "ci/checkpatch-allowed.txt"
FIXES = re.compile(r'^Fixes: ([0-9a-f]{12,40}) \("(.+)"\)$')


def inputs(revision):
    cover = keep.read(revision.cover) if revision.cover else ""
    previous = revision.previous
    if os.path.isdir(previous):
        previous = keep.digest(keep.read(path) for path in series.numbered(previous))
    return [revision.id, revision.kernel, cover, previous, *map(keep.read, (p.path for p in revision.patches))]


def check(revision):
    found = keep.Outcome()
    try:
        base = tree.of(revision)
        base.am(revision.patches)
    except tree.DoesNotApply as error:
        found.problems.append(str(error))
        return found
    found.problems += wrong_base(revision, base) + numbering(revision) + cover(revision)
    for patch in revision.patches:
        found.problems += [f"{patch.name}: {why}" for why in (
            *signed(patch), *prefixed(revision, base, patch), *fixes(revision, patch), *checkpatch(base, patch))]
    wanted = lists(revision, base)
    found.problems += [f"no To: or Cc: names {one}, which get_maintainer.pl asks for"
                       for one in wanted if one not in recipients(revision)]
    if revision.previous:
        try:
            found.notes.append(range_diff(revision, base))
        except keep.Refused as error:
            found.notes.append(f"There is no range-diff against {revision.previous}: {error}")
    else:
        found.notes.append("No PREVIOUS= revision was given: there is no range-diff.")
    found.tables.append(keep.Table("Patches", ["", "subject", "files"], [
        [str(patch.number), series.bare(patch.subject), " ".join(patch.files)] for patch in revision.patches]))
    found.line = f"{len(revision.patches)} patches; lists: {', '.join(wanted)}"
    return found


def wrong_base(revision, base):
    """Each file that a patch finds is the very one that it was made from. Where there is history, the
    base-commit: of the cover letter is in it."""
    problems = []
    for patch in revision.patches:
        indexes = re.findall(r"^diff --git a/(\S+) .*\n(?:(?:old|new|similarity|rename|deleted)[^\n]*\n)*"
                             r"index ([0-9a-f]+)\.\.", patch.diff, re.M)
        for path, blob in indexes:
            have = base.blob(patch.number - 1, path)
            if not (have.startswith(blob) if blob.strip("0") else not have):
                problems.append(f"{patch.name}: wrong base: {path} is {have[:12] or 'absent'}, not {blob}")
    said = re.search(r"^base-commit: ([0-9a-f]{40})$", keep.read(revision.cover) if revision.cover else "", re.M)
    if revision.history:
        if not said:
            problems.append("the cover letter has no base-commit: (git format-patch --base=auto)")
        elif keep.run(["git", "-C", revision.history, "merge-base", said[1], "HEAD"], good=None).strip() != said[1]:
            problems.append(f"base-commit {said[1][:12]} is not in the history of {revision.history}")
    return problems


def numbering(revision):
    problems, count = [], len(revision.patches)
    subjects = [patch.subject for patch in revision.patches]
    if revision.cover:
        subjects += re.findall(r"^Subject: (.*)$", keep.read(revision.cover), re.M)[:1]
    # Version and tree are the same in all.
    prefixes = sorted({re.sub(r" ?\d+/\d+", "", subject.partition("]")[0]) for subject in subjects})
    if len(prefixes) > 1:
        problems.append(f"the subjects begin in more than one way: {', '.join(f'{one}]' for one in prefixes)}")
    for patch in revision.patches:
        head = re.match(r"\[[^\]]*\bPATCH\b[^\]]*?(?: (\d+)/(\d+))?\]", patch.subject)
        if not head or (int(head[1] or 1), int(head[2] or 1)) != (patch.number, count):
            problems.append(f"{patch.name}: its subject is no [PATCH {patch.number}/{count}]: {patch.subject}")
    return problems


def cover(revision):
    """A series has a cover letter; from its second revision on it says what changed."""
    if len(revision.patches) == 1:
        return []
    if not revision.cover:
        return ["there is no cover letter (cover-letter.txt, or a mail 0/N)"]
    text = keep.read(revision.cover)
    if "*** BLURB HERE ***" in text or "*** SUBJECT HERE ***" in text:
        return ["the cover letter is not written (git branch --edit-description)"]
    version = re.search(r"^Subject: \[[^\]]*\bv(\d+)\b", text, re.M)
    if version and int(version[1]) > 1 and not re.search(rf"changes (since|in|from) v{int(version[1]) - 1}\b|"
                                                         rf"changes in v{version[1]}\b", text, re.I):
        return [f"the cover letter of v{version[1]} does not say what changed since v{int(version[1]) - 1}"]
    return []


def signed(patch):
    """The author signs off."""
    author = re.search(r"<([^>]+)>", patch.author)
    signers = re.findall(r"^Signed-off-by: .*<([^>]+)>$", patch.message, re.M)
    if not author or author[1] not in signers:
        return [f"no Signed-off-by: of its author {patch.author}"]
    return []


def prefixed(revision, base, patch):
    """The subject begins as those of its files' history do."""
    prefix = series.bare(patch.subject).partition(": ")[0]
    accepted = set()
    if revision.history:
        said = keep.run(["git", "-C", revision.history, "log", "-n300", "--format=%s", "--", *patch.files], good=None)
        accepted = {line.rpartition(": ")[0] for line in said.splitlines()}
    if len(accepted) < 2:
        rules = series.rules()["prefixes"]
        accepted = {one for path in patch.files for start, ones in rules.items() if path.startswith(start)
                    for one in ones}
    full = series.bare(patch.subject)
    if not any(full.startswith(f"{one}: ") for one in accepted):
        return [f"subject prefix {prefix!r} is none of {', '.join(sorted(accepted)[:8])}"]
    return []


def fixes(revision, patch):
    """Fixes: as it is written; where there is history, of a commit in it."""
    problems, lines = [], re.findall(r"^[ \t]*[Ff]ixes\b.*$", patch.message, re.M)
    for line in (line for line in lines if ":" in line[:8]):
        tag = FIXES.match(line)
        if not tag:
            problems.append(f"not well formed: {line}")
        elif revision.history:
            said = keep.run(["git", "-C", revision.history, "log", "-1", "--format=%s", tag[1]], good=None).strip()
            if said != tag[2]:
                what = "no such commit" if "fatal:" in said else f"it as {said!r}"
                problems.append(f"{line}: {revision.history} has {what}")
    return problems


def checkpatch(base, patch):
    """Away from any history, so that it says the same on every machine."""
    allowed = [line for line in keep.read(ALLOWED).splitlines() if line.strip()]
    base.checkout(patch.number - 1)
    with tempfile.TemporaryDirectory(dir=base.place) as scratch:
        # checkpatch looks for a git repository from where it runs.
        env = dict(os.environ, GIT_CEILING_DIRECTORIES=base.place, GIT_DIR=os.path.join(scratch, "none"))
        said = keep.run(["scripts/checkpatch.pl", "--strict", "--terse", "--no-summary",
                         os.path.abspath(patch.path)], cwd=base.path, env=env, good=(0, 1))
    lines = [line.split(":", 1)[-1].strip() for line in said.splitlines() if line.strip()]
    return [f"checkpatch: {line}" for line in lines if not any(known in line for known in allowed)]


def recipients(revision):
    heads = [keep.read(revision.cover)] if revision.cover else []
    heads += [f"{keep.read(patch.path).partition(chr(10) * 2)[0]}\n{patch.message}" for patch in revision.patches]
    lines = re.findall(r"^(?:To|Cc):(.*(?:\n[ \t].*)*)", "\n".join(heads), re.M)
    return set(re.findall(r"[\w.+-]+@[\w.-]+", " ".join(lines)))


def lists(revision, base):
    """The mailing lists that the patches must go to."""
    base.checkout(0)
    found = set()
    for patch in revision.patches:
        said = keep.run(["scripts/get_maintainer.pl", "--nogit", "--nogit-fallback", "--norolestats", "--nom",
                         "--nor", "--l", os.path.abspath(patch.path)], cwd=base.path)
        found.update(re.findall(r"^[\w.+-]+@[\w.-]+$", said, re.M))
        # MAINTAINERS leaves it out of what is generic.
        if any(path.startswith("include/uapi/") for path in patch.files):
            found.add("linux-api@vger.kernel.org")
    return sorted(found)


def range_diff(revision, base):
    folder = series.fetched(revision.previous, revision.history, "previous")[0]
    before = [series.Patch.read(path, number) for number, path in enumerate(series.numbered(folder), 1)]
    base.am(before, prefix="p")
    base.am(revision.patches)
    said = base.git("range-diff", "--no-color", f"k0..p{len(before)}", f"k0..k{len(revision.patches)}")
    return f"range-diff against {revision.previous}:\n{said}"
