"""How the ranking of configurations at one budget agrees with that at another.

    python -m benchmarks.agreement

reads the committed results of the tables on the intra-patient split and writes
`results/benchmarks/budgets.md`: the configurations of tables 4 and 5 at every budget.
"""

from pathlib import Path

import pandas as pd
from scipy.stats import spearmanr

from ecg.files import write_text
from search_spaces.tables import PUBLISHED_BASELINE, configurations
from study.storage.results import read_results, rows_of_results

RESULTS = Path(__file__).parents[1] / "results"
PAGE = RESULTS / "benchmarks" / "budgets.md"
BUDGETS = ("quick", "short", "paper")


def scores_of(budget: str) -> pd.Series:
    """Return the mean validation F1(M) over seeds of each configuration, by label."""
    path = RESULTS / "tables" / f"tables-mitdb-intra-patient-{budget}" / "results.csv"
    found: dict[str, list[float]] = {}
    for run in rows_of_results(read_results(path)):
        fields = {name: run[f"config_{name}"] for name in PUBLISHED_BASELINE}
        for row in configurations(("table4", "table5")):
            if run["state"] == "complete" and row.configuration == fields:
                found.setdefault(row.label, []).append(run["validation_f1_macro"])
    return pd.Series({label: pd.Series(scores).mean() for label, scores in found.items()})


def render() -> str:
    """Return the page."""
    scores = pd.DataFrame({budget: scores_of(budget) for budget in BUDGETS}).dropna()
    scores = scores.loc[[row.label for row in configurations(("table4", "table5"))]]
    lines = [
        "# Agreement of budgets",
        "",
        "Validation F1(M) of the configurations of tables 4 and 5 (Coupled CNN, intra-patient",
        "split) at each budget; the mean of three seeds at `quick` (fp32), one seed at `short` and",
        "`paper` (bf16). Written by `python -m benchmarks.agreement` from the results in",
        "[`tables/`](../tables).",
        "",
        "| configuration | " + " | ".join(f"`{budget}`" for budget in BUDGETS) + " |",
        "|:--|" + "--:|" * len(BUDGETS),
    ]
    lines += [
        f"| {label} | " + " | ".join(f"{value:.4f}" for value in row) + " |"
        for label, row in zip(scores.index, scores.to_numpy(), strict=True)
    ]
    lines += [
        "",
        "| rank correlation (Spearman) with `paper` | all | without alpha 1.0 |",
        "|:--|--:|--:|",
    ]
    lines += [
        f"| `{budget}` | {agreement(scores, budget):.2f} | "
        f"{agreement(scores.drop('alpha 1.0'), budget):.2f} |"
        for budget in BUDGETS[:-1]
    ]
    return "\n".join(lines) + "\n"


def agreement(scores: pd.DataFrame, budget: str) -> float:
    """Return Spearman's rank correlation of a budget with `paper`."""
    return float(spearmanr(scores[budget], scores["paper"]).statistic)


if __name__ == "__main__":
    write_text(PAGE, render())
    print(PAGE)
