# SPDX-License-Identifier: GPL-2.0-only OR MIT
"""The report: lines for who waits for it, Markdown for mail, a page, and JSON."""

import json
import os
import time

import cells
import page

SHOWN = 5


def say(row):
    """A line a gate, and what is wrong."""
    word = "FAIL" if row["problems"] else "pass"
    line = row["line"] if not row["problems"] or row["line"] else row["problems"][0]
    kept = "" if row["seconds"] <= row["took"] + 1 else f"; {row['seconds']} s when it was found"
    print(f"{word:5} {row['gate']:10} {line}  ({row['took']:.0f} s{kept})", flush=True)
    for problem in row["problems"][:SHOWN]:
        print(f"      {problem}", flush=True)
    if len(row["problems"]) > SHOWN:
        print(f"      and {len(row['problems']) - SHOWN} more: see the report", flush=True)


def write(folder, revision, rows, complete):
    """report.json, report.md and report.html in `folder`."""
    data = {
        "schema": 1, "series": revision.name, "series_hash": revision.hash, "base": revision.base,
        "patches": len(revision.patches), "suite_hash": cells.suite_hash(),
        "date": time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime()),
        "complete": complete, "passed": complete and not any(row["problems"] for row in rows), "gates": rows,
    }
    os.makedirs(folder, exist_ok=True)
    texts = {"report.json": json.dumps(data, indent=1, sort_keys=True) + "\n", "report.md": markdown(data),
             "report.html": html(data)}
    for name, text in texts.items():
        path = os.path.join(folder, name)
        with open(path + ".part", "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    # All of them, or what was.
    for name in texts:
        os.replace(os.path.join(folder, name) + ".part", os.path.join(folder, name))


def verdict(data):
    failed = [row["gate"] for row in data["gates"] if row["problems"]]
    if failed:
        return f"Not fit to send: {', '.join(failed)}."
    if not data["complete"]:
        return "Not all gates were run."
    return "Fit to send: every gate passed."


def about(data):
    return (f"{data['series']}, {data['patches']} patches, hash {data['series_hash'][:12]}, on {data['base']}; "
            f"suite {data['suite_hash'][:12]}; {data['date'].replace('T', ' ')}.")


def markdown(data):
    lines = ["# Revision report", "", f"**{verdict(data)}** {about(data)}", "",
             "| gate | outcome | what it asks | what it found | in |", "|---|---|---|---|---|"]
    for row in data["gates"]:
        lines.append(f"| {row['gate']} | {'FAIL' if row['problems'] else 'pass'} | {row['asks']} | {row['line']} | {row['seconds']} s |")
    for row in data["gates"]:
        lines += ["", f"## {row['gate']}", ""]
        lines += [f"- **{problem}**" for problem in row["problems"]]
        for table in row["tables"]:
            escaped = [[str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells_] for cells_ in table["rows"]]
            lines += ["", f"{table['title']}:", "", f"| {' | '.join(table['head'])} |", "|---" * len(table["head"]) + "|"]
            lines += [f"| {' | '.join(cells_)} |" for cells_ in escaped]
        for note in row["notes"]:
            head, _, rest = note.partition("\n")
            lines += ["", head] + (["", *(f"    {line}" for line in rest.splitlines())] if rest else [])
    return "\n".join(lines) + "\n"


def html(data):
    glance = "".join(
        f'<tr><th scope="row"><a href="#{row["gate"]}">{page.text(row["gate"])}</a></th>{outcome(row)}'
        f'<td>{page.text(row["asks"])}</td><td>{page.text(row["line"])}</td><td>{row["seconds"]} s</td></tr>' for row in data["gates"])
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("outcome", "asks", "found", "in"))
    return page.filled(
        "revision/report.html", about=page.text(about(data)), verdict=page.text(verdict(data)),
        kind="good" if data["passed"] else "bad",
        glance=page.boxed("The gates", heads, f"<tbody>{glance}</tbody>", "gates", "gate"),
        sections="".join(section(row) for row in data["gates"]), data=page.embedded(data))


def outcome(row):
    return '<td class="bad">fails</td>' if row["problems"] else '<td class="shut">passes</td>'


def section(row):
    parts = [f'<section aria-labelledby="{row["gate"]}"><h2 id="{row["gate"]}">{page.text(row["gate"])}</h2>'
             f'<p>{page.text(row["line"])}</p>']
    if row["problems"]:
        items = "".join(f"<li>{page.text(problem)}</li>" for problem in row["problems"])
        parts.append(f'<ul class="problems">{items}</ul>')
    for table in row["tables"]:
        heads = "".join(f'<th scope="col">{page.text(head)}</th>' for head in table["head"][1:])
        lines = "".join(f'<tr><th scope="row">{page.text(cells_[0])}</th>'
                        + "".join(f"<td>{page.text(cell)}</td>" for cell in cells_[1:]) + "</tr>"
                        for cells_ in table["rows"])
        parts.append(page.boxed(table["title"], heads, f"<tbody>{lines}</tbody>", "found",
                                page.text(table["head"][0])))
    for note in row["notes"]:
        head, _, rest = note.partition("\n")
        parts.append(f"<p>{page.text(head)}</p>" + (f'<pre tabindex="0">{page.text(rest)}</pre>' if rest else ""))
    return "".join(parts) + "</section>"
