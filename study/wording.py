"""The wording of scores, parameters, durations and studies, shared by all outputs."""

import math
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

FULL_BUDGET = "paper"  # the budget of the published protocol
SCORE_TITLES = {
    "f1_macro": "F1(M)",
    "f1_nsv": "F1(N, S, V)",
    "f1_weighted": "F1(W)",
    "recall_macro": "recall(M)",
    "recall_weighted": "recall(W)",
    "precision_macro": "precision(M)",
    "precision_weighted": "precision(W)",
    "specificity_macro": "specificity(M)",
    "specificity_weighted": "specificity(W)",
    "jk_index": "jk index",
    **{f"sensitivity_{name}": f"Se({name})" for name in "NSVF"},  # as AAMI EC57 abbreviates
    **{f"predictivity_{name}": f"+P({name})" for name in "NSVF"},
}
# Optuna's states of trials, in the order in which they are shown.
STATES = {"complete": "complete", "pruned": "pruned", "fail": "failed", "running": "running",
          "waiting": "queued"}  # fmt: skip
# What a search can minimise in addition to a score, see `ecg.costs`.
COST_TITLES = {"parameters": "network parameters", "latency": "latency (ms per beat)"}


def score_title(score: object) -> str:
    """Return the title of a score or cost, or its name if it has no title."""
    return (SCORE_TITLES | COST_TITLES).get(str(score), str(score))


def objectives_of(identity: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of all objectives of a study, the first of which is a score.

    Args:
        identity: identity of the study.
    """
    found = str(identity.get("objectives") or identity.get("objective", ""))
    return tuple(found.split(",")) if found else ()


def has_several(identity: Mapping[str, Any]) -> bool:
    """Whether a study has several objectives."""
    return len(objectives_of(identity)) > 1


def objective_label(objective: str) -> str:
    """Return "validation F1(M)", or the title of a cost."""
    title = score_title(objective)
    return title if objective in COST_TITLES else f"validation {title}"


def say_objectives(identity: Mapping[str, Any]) -> str:
    """Return "maximising validation F1(M), minimising network parameters"."""
    said = (
        f"{'minimising' if name in COST_TITLES else 'maximising'} {objective_label(name)}"
        for name in objectives_of(identity)
    )
    return ", ".join(said) or "objective unknown"


def say_objective_value(objective: str, value: float) -> str:
    """Return the value of an objective: a number of parameters as "52,229", others as "0.7726"."""
    return f"{value:,.0f}" if objective == "parameters" else f"{value:.4f}"


def say_objective_values(values: Iterable[tuple[str, float]]) -> str:
    """Return "network parameters 52,229, latency (ms per beat) 0.0910"."""
    return ", ".join(
        f"{score_title(name)} {say_objective_value(name, value)}" for name, value in values
    )


def one_line(text: object) -> str:
    """Return text from outside made safe to print: one line, without control codes."""
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in str(text)
    )


def say_value(value: object) -> str:
    """Return the value of a parameter as text: four digits of a float, "none" for None."""
    if value is None:
        return "none"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def say_parameters(parameters: Mapping[str, object]) -> str:
    """Return parameters as text, such as "strategy=sampler, ratio=0.05997"."""
    said = (f"{name}={say_value(value)}" for name, value in parameters.items())
    return ", ".join(said) or "no parameters"


def parameters_of(row: Iterable[tuple[object, object]]) -> dict[str, object]:
    """Return the parameters in a row of the table of trials.

    Args:
        row: columns and values; None and NaN stand for a missing value.
    """
    return {
        str(column).removeprefix("param_"): value
        for column, value in row
        if str(column).startswith("param_")
        and value is not None
        and not (isinstance(value, float) and math.isnan(value))
    }


def say_identity(identity: Mapping[str, Any]) -> str:
    """Return the data and settings of a study, as in "data mitdb, split intra-patient, ..."."""

    def known(name: str) -> str:
        return str(identity.get(name, "unknown"))

    fingerprint = f" ({str(identity['data'])[:12]})" if identity.get("data") else ""
    return (
        f"data {known('source')}{fingerprint}, split {known('split')}, budget {known('budget')}, "
        f"device {known('device')} ({known('precision')}), seed {known('seed')}"
    )


def say_limits(identity: Mapping[str, Any]) -> str:
    """Return the limits that mark every plot and page: simulated beats, a reduced budget.

    Args:
        identity: a study's identity, or the attributes of one of its trials.

    Returns:
        "" where neither applies.
    """
    limits = []
    if "synthetic" in str(identity.get("source", "")):
        limits.append("simulated beats")
    if (budget := identity.get("budget", FULL_BUDGET)) != FULL_BUDGET:
        limits.append(f"reduced budget '{budget}'")
    return ", ".join(limits)


def warn_of_limits(identity: Mapping[str, Any]) -> str:
    """Return `say_limits` as a sentence, "" where there are no limits."""
    if limits := say_limits(identity):
        return f"{limits[0].upper()}{limits[1:]}: not comparable with published scores."
    return ""


def counted(number: int, noun: str) -> str:
    """Return "1 job" or "2 jobs"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def say_times(number: int) -> str:
    """Return "once", "twice" or "7 times"."""
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")


def say_states(states: Iterable[str], seconds: float) -> str:
    """Return "12 trials: 9 complete, 3 pruned; 5 min of training".

    Args:
        states: of all trials, see `STATES`.
        seconds: time spent training.
    """
    counts = Counter(states)
    said = ", ".join(f"{counts[state]:,} {word}" for state, word in STATES.items() if counts[state])
    return (
        f"{counted(counts.total(), 'trial')}: {said or 'none'}; {format_seconds(seconds)} of "
        "training"
    )


def say_test_reads(reasons: Collection[str], evaluations: int = 0, confirmed: str = "") -> str:
    """Return a sentence on how often the test part was read, and why.

    Args:
        reasons: of each trial that was measured on it.
        evaluations: how often `ecg evaluate` read it.
        confirmed: how often the study's confirmation read it, as text; "" for none.
    """
    said = []
    if reasons:
        why = ", ".join(sorted(set(reasons)))
        said.append(f"{say_times(len(reasons))}, once per trial: {why}")
    if confirmed:
        said.append(confirmed)
    if evaluations:
        said.append(f"{say_times(evaluations)} by `ecg evaluate`")
    return f"The test part was {'read ' + '; '.join(said) if said else 'not read'}."


def format_seconds(seconds: float) -> str:
    """Return a duration as text: "45 s", "12 min", "3 h 05 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"


def words_to_continue(
    name: str, identity: Mapping[str, Any], settings: Mapping[str, Any], at: Sequence[str]
) -> list[str]:
    """Return the command that continues a study, without the name of the program.

    Args:
        name: name of the study.
        identity: the study's identity.
        settings: the study's settings.
        at: the option that names the database, empty for the default one.
    """
    kind = str(identity.get("space", ""))
    if not kind.startswith("confirm:"):
        return ["run", *([f"--study={name}"] if name.startswith("-") else ["--study", name]), *at]
    asked = [
        w
        for o in ("top", "seeds", "budget", "folds")
        if o in settings
        for w in (f"--{o}", str(settings[o]))
    ]
    return ["confirm", *words_of_study(kind.removeprefix("confirm:"), [*asked, *at])]


def words_of_study(name: str, options: Sequence[str]) -> list[str]:
    """Return the name of a study as an argument, with options."""
    # After "--", a name that begins with a dash is not taken for an option.
    return [*options, "--", name] if name.startswith("-") else [name, *options]


# The standard deviation of validation F1(M) between seeds, pooled over 45 runs (15 configurations,
# 3 seeds) in results/tables/tables-mitdb-intra-patient-quick. Not measured at other budgets.
SEED_NOISE = {"quick": 0.030}


def caution_of_budget(budget: object) -> str:
    """Return a caution about rankings at a reduced budget; "" at the budget "paper"."""
    if budget == "paper":
        return ""
    noise = SEED_NOISE.get(str(budget))
    measured = (
        f"One score varies by {noise:.3f} from seed to seed there (standard deviation of F1(M), 45 "
        "runs on MIT-BIH)."
        if noise is not None
        else "How much one score varies from seed to seed there has not been measured."
    )
    return (
        f"The ranking at the budget {budget} may be the opposite of that at paper, the published "
        f"one. {measured}"
    )
