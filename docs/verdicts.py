"""Writes docs/verdicts.md from the tables that verdicts.sh has made; called by it, in their directory.

Usage: verdicts.py TIMES VERSIONS [SKIPPED...]
"""

import glob
import json
import sys

TIMES, VERSIONS, *SKIPPED = sys.argv[1:]


def tables(role):
    for path in sorted(glob.glob(f"table-*-{role}.json")):
        with open(path) as table, open(path.removesuffix("json") + "title") as title:
            yield title.read().strip(), json.load(table)


def by_trial(table):
    """The rows of both families together, in the order of the table."""
    rows = {}
    for row in table["trials"]:
        rows.setdefault(row["name"], []).append(row)
    return rows


def word(rows):
    """One word if both families agree."""
    words = [row["verdict"] for row in rows]
    return words[0] if len(set(words)) == 1 else " / ".join(words)


def cell(text):
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")


def matrix(role):
    programs = list(tables(role))
    print("| trial | " + " | ".join(title for title, _ in programs) + " |")
    print("|---" * (len(programs) + 1) + "|")
    names = list(by_trial(programs[0][1])) if programs else []
    for name in names:
        words = [word(by_trial(table)[name]) for _, table in programs]
        print(f"| {name} | " + " | ".join("·" if w == "right" else f"**{w}**" for w in words) + " |")
    print("| right, both families | " + " | ".join(f"{t['right']} of {t['of']}" for _, t in programs) + " |\n")


def end(row):
    if row["ended_by_lab"]:
        return "ended by the lab"
    if row["signal"] is not None:
        return "SIGPIPE" if row["signal"] == 13 else f"signal {row['signal']}"
    return "still runs" if row["exit_status"] is None else f"exit {row['exit_status']}"


def noticed(row):
    return "-" if row["noticed_ms"] is None else f"{row['noticed_ms'] / 1000:.1f} s"


def details(role):
    for title, table in tables(role):
        wrong = {name: rows for name, rows in by_trial(table).items() if word(rows) != "right"}
        print(f"### {title}\n\n`{table['command']}`: {table['right']} of {table['of']} right, {table['seconds']:.0f} s\n")
        notes = sorted({note for row in table["trials"] for note in row["notes"]})
        if notes:
            print("Observed, not a fault: " + "; ".join(notes) + ".\n")
        if not wrong:
            continue
        print("| trial | verdict | noticed after | exit | failed claims | stderr |\n|---|---|---|---|---|---|")
        for name, rows in wrong.items():
            row = next(row for row in rows if row["verdict"] != "right")
            failed, said = cell("; ".join(row["failed"])), cell(row["said"] or "")
            print(f"| {name} | {word(rows)} | {noticed(row)} | {end(row)} | {failed} | {said[:90]} |")
        print()


print(f"""# Verdicts

Made by `docs/verdicts.sh`; do not edit. Every program went through every trial that applies to it, over IPv4 and IPv6, with
`tcpecho lab test --client 'COMMAND' --family both`, or `--server`. `tcpecho lab test --help` explains the verdicts, and
`tcpecho lab run NAME --client 'COMMAND'` shows what happened. A dot is `right`; two words are the verdicts over IPv4 and IPv6.

The verdicts judge one use: stdin to an echo server and back. Some of these programs were made for other uses.
The versions were:

{VERSIONS}

All scenarios of `tcpecho lab run all --family both`, on the same machine: {TIMES}.
""")
for line in SKIPPED:
    print(f"Skipped: {cell(line)}.\n")
print("## Clients\n")
matrix("client")
print("## Servers\n")
matrix("server")
print("## Clients, in detail\n\nThe last column has the first line that the program wrote to stderr after the decisive event.\n")
details("client")
print("## Servers, in detail\n")
details("server")
