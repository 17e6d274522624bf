"""`study enqueue`: a configuration of your choice as the next trial of a search."""

from collections.abc import Sequence
from difflib import get_close_matches
from itertools import chain

from optuna.trial import TrialState

from ecg.errors import UsageError, use_one_of
from search_spaces import Space
from search_spaces.parameters import Choice, Parameter, Value, Whole
from study.run.points import Point
from study.storage.reading import read_settings
from study.storage.rows import NONE
from study.storage.searched_space import find_searched_space
from study.storage.studies import load_study, open_storage, study_lock
from study.wording import STATES, say_parameters


def enqueue(
    url: str, name: str, words: Sequence[str], file: str | None = None
) -> tuple[Point, int]:
    """Queue a configuration in a search, to be run before new ones are sampled.

    Args:
        url: URL of the database.
        name: name of the search.
        words: as for `read_point`.
        file: file of the space, None for the one that the study was run with.

    Returns:
        The parameters queued, and the number of finished trials that includes them.

    Raises:
        UsageError: the search does not exist, its space has changed, the configuration is not in
            the space, or the study has it already.
    """
    storage = open_storage(url, create=False)
    study = load_study(storage, name)
    space = find_searched_space(url, name, file)
    if read_settings(url, name)[1].get("sampler") == "grid":
        raise UsageError(
            f"the study '{name}' trains only the points of a grid. Start another study with "
            "--sampler tpe."
        )
    point = read_point(space, words)
    with study_lock(storage, name):
        trials = study.get_trials(deepcopy=False)
        for trial in trials:
            if trial.state != TrialState.FAIL and point == trial.system_attrs.get(
                "fixed_params", trial.params
            ):
                raise UsageError(
                    f"this configuration is trial {trial.number} of '{name}' already "
                    f"({STATES[trial.state.name.lower()]}). Name another one."
                )
        study.enqueue_trial(point)
    alive = sum(trial.state != TrialState.FAIL for trial in trials) + 1
    return point, alive


def read_point(space: Space, words: Sequence[str]) -> Point:
    """Return the typed parameters, completed by those of the baseline.

    Args:
        space: the space of the parameters.
        words: parameters such as "ratio=0.1". A parameter that follows from them, such as the
            strategy of this ratio, need not be typed.

    Raises:
        UsageError: a parameter is unknown, out of range, or does not exist with the others.
    """
    typed = _read_words(space, words)
    point: Point = {}
    for parameter in space.parameters:
        name = parameter.name
        if not space.applies(parameter, point):
            continue
        # A strategy that is not typed follows from parameters that exist only with it.
        asked = [p.when[name] for p in space.parameters if p.name in typed and name in p.when]
        usual = [*([space.baseline[name]] if name in space.baseline else ()), *chain(*asked)]
        fitting = [value for value in usual if all(value in values for values in asked)]
        if name in typed:
            point[name] = typed[name]
        elif fitting:
            point[name] = fitting[0]
        else:
            raise UsageError(
                f"'{name}' ({parameter}) needs a value with {say_parameters(point)}: the baseline "
                f"has none. Add {name}=VALUE."
            )
    if unused := sorted(set(typed) - set(point)):
        raise UsageError(
            f"there is no '{unused[0]}' with {say_parameters(point)}. Leave it out, or change the "
            "parameters that it depends on."
        )
    space.configure(point)
    return point


def _read_words(space: Space, words: Sequence[str]) -> dict[str, Value]:
    known = {parameter.name: parameter for parameter in space.parameters}
    typed: dict[str, Value] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals:
            raise UsageError(f"'{word}' must be a parameter and its value, such as ratio=0.1.")
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"Did you mean '{near[0]}'?" if near else use_one_of(known)
            raise UsageError(f"the space '{space.name}' has no parameter '{name}'. {hint}")
        if name in typed:
            raise UsageError(f"'{name}' is there twice. Name it once.")
        typed[name] = _value(known[name], text)
    return typed


def _value(parameter: Parameter, text: str) -> Value:
    """Return a typed value as a value of the parameter."""
    if isinstance(parameter, Choice):
        shown = {NONE if one is None else str(one): one for one in parameter.options}
        if text in shown:
            return shown[text]
    else:
        try:
            value = int(text) if isinstance(parameter, Whole) else float(text)
        except ValueError:
            value = None
        if parameter.contains(value):
            return value
    raise UsageError(f"{parameter.name} = {text} is not in {parameter}")
