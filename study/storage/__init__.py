"""The database of studies and its files; the only folder that touches Optuna's private parts."""

DEFAULT_URL = "sqlite:///results/study.db"
