"""Rules of what is added to the dashboard's page."""

import re
from dataclasses import asdict, replace

from study.show.dashboard_page import rules_of
from study.storage.reading import read_study
from tests.support.fake_study import EVIL, fill
from tests.support.setting import IDENTITY


def said(rules: str) -> list[str]:
    """Return the texts of style rules as a browser shows them."""
    texts = re.findall(r'content:"([^"]*)"', rules)
    return [re.sub(r"\\([0-9a-f]+) ", lambda m: chr(int(m[1], 16)), text) for text in texts]


def test_a_study_says_budget_data_and_best(sqlite_url: str) -> None:
    study = fill(sqlite_url, trials=6)
    best = f"{study.best_value:.4f}"
    listed, caution = said(rules_of(read_study(sqlite_url, "fake"), 1))
    assert "imbalance, mitdb intra-patient, budget smoke" in listed
    assert f"F1(M): best {best}, baseline " in listed
    assert "6 trials, stopped" in listed
    assert caution.startswith("Reduced budget 'smoke'")


def test_the_full_protocol_has_no_caution(sqlite_url: str) -> None:
    study = fill(sqlite_url, trials=0)
    study.set_user_attr("identity", asdict(replace(IDENTITY, source="mitdb", budget="paper")))
    (listed,) = said(rules_of(read_study(sqlite_url, "fake"), 1))
    assert listed.endswith("budget paper\n0 trials, empty")


def test_no_text_ends_its_rule(sqlite_url: str) -> None:
    study = fill(sqlite_url, trials=1)
    name = f'"}} body {{ display: none }} </style>{EVIL}\\'
    study.set_user_attr("identity", asdict(replace(IDENTITY, space=name)))
    rules = rules_of(read_study(sqlite_url, "fake"), 1)
    assert "<" not in rules
    assert rules.count("{") == rules.count("}") == 2
    assert name in said(rules)[0]
