"""The page of `benchmarks.storage` as Markdown, made from its measurements alone."""

from typing import Any

Measured = dict[str, Any]
TRIAL_SECONDS = {"a trial of 25 s (quick budget, two CPU cores)": 25.0, "a trial of 1 s": 1.0}


def describe(found: Measured) -> str:
    """Return the page."""
    parts = (_machine(found["machine"]), _trial(found["trial"]), _load(found["load"]))
    more = (_growth(found["growth"]), _looking(found["looking"]))
    return "\n\n".join(("# What the database costs", *parts, *more)) + "\n"


def _machine(machine: Measured) -> str:
    known = ", ".join(f"{name} {value}" for name, value in machine["versions"].items())
    return (
        "Made by `python -m benchmarks.storage`. Nothing was trained: every trial followed a "
        "recorded curve. Numbers are medians, with the lowest and highest of the repeats in "
        f"brackets.\n\n{machine['processor']}, {machine['cores']} cores, {machine['system']}; "
        f"{known}; {machine['date']}; load average {machine['load_at_the_start']:.2f} when it "
        "started."
    )


def _trial(trial: Measured) -> str:
    rows = [f"| {name} | {_spread(value)} |" for name, value in trial["parts"].items()]
    whole = trial["Optuna and storage"]
    shares = ", ".join(
        f"{whole['median'] / 1e3 / seconds:.2%} of {title}"
        for title, seconds in TRIAL_SECONDS.items()
    )
    return "\n".join(
        (
            "## One trial, apart from its training",
            "",
            "One worker, SQLite, TPE and the median pruner, 12 trials of at most 10 epochs.",
            "",
            "| part | ms per trial |",
            "|---|---|",
            *rows,
            f"| **all** | **{_spread(whole)}** |",
            "",
            f"Optuna and the database take {shares}.",
        )
    )


def _load(load: Measured) -> str:
    rows = [
        f"| {name} | {of['seconds']:.1f} | {of['trials_per_second']:.1f} | "
        f"{of['trial_ms']['median']:.0f} | {of['claim_ms']['median']:.0f}, "
        f"{of['claim_ms']['p95']:.0f} | {of['share_of_a_worker'][0]} to "
        f"{of['share_of_a_worker'][1]} | {of['run_twice']}, {of['lost']} |"
        for name, of in load.items()
    ]
    return "\n".join(
        (
            "## Eight workers, 500 trials",
            "",
            "One run each. A worker waits for the study's lock while another "
            "one claims a trial; that wait is part of the claim.",
            "",
            "| database | s | trials/s | ms per trial (median) | ms per claim (median, 95%) "
            "| trials per worker | run twice, lost |",
            "|---|---|---|---|---|---|---|",
            *rows,
        )
    )


def _growth(growth: Measured) -> str:
    lines = [
        "## A study that grows",
        "",
        "SQLite, one worker; ms of one more trial: claim, sample its parameters, one epoch "
        "(report, prune), tell. Joining reads all trials, once per worker.",
        "",
        "| sampler | trials | join | claim | sample | epoch | tell | all |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for sampler, sizes in growth.items():
        for of in sizes:
            steps = " | ".join(f"{of[n]['median']:.1f}" for n in ("claim", "sample", "epoch"))
            lines.append(
                f"| {sampler} | {of['trials']:,} | {of['join']:.0f} | {steps} | "
                f"{of['tell']['median']:.1f} | {_spread(of['ask_and_tell'])} |"
            )
        first, last = sizes[0], sizes[-1]
        times = last["ask_and_tell"]["median"] / first["ask_and_tell"]["median"]
        more = last["trials"] / first["trials"]
        lines.append(f"| {sampler} | {more:.0f} times | | | | | | {times:.1f} times |")
    return "\n".join(lines)


def _looking(looking: Measured) -> str:
    board, report = looking["dashboard"], looking["report"]
    rows = [
        f"| `study {name}` | {_spread(looking[name]['seconds'], 2)} | "
        f"{_spread(looking[name]['cpu_seconds'], 2)} | |"
        for name in ("list", "show")
    ]
    rows += [
        f"| `study report` | {report['seconds']['median']:.1f} | "
        f"{report['cpu_seconds']['median']:.1f} | {report['bytes'] / 1e6:.1f} MB |",
        f"| `study dashboard`, until it answers | {board['ready']:.1f} | | |",
        f"| its first page of the study | {board['first']:.2f} | | {board['bytes'] / 1e6:.1f} MB |",
        f"| the page again | {_spread(board['later'], 2)} | | |",
    ]
    return "\n".join(
        (
            f"## Looking at {looking['trials']:,} trials",
            "",
            f"With curves and examples, {looking['database_bytes'] / 1e6:.0f} MB in SQLite; the "
            "whole command, from its start.",
            "",
            "| | s | CPU s | size |",
            "|---|---|---|---|",
            *rows,
        )
    )


def _spread(of: Measured, digits: int = 1) -> str:
    """Return "1.2 (1.0 to 1.5)"."""
    median, low, high = (f"{of[name]:.{digits}f}" for name in ("median", "low", "high"))
    return f"{median} ({low} to {high})"
