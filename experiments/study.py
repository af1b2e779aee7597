"""What a study leaves: ``trials.csv``, ``best.json``, and the best trial's run folder."""

from __future__ import annotations

import csv
import io
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .files import write_json, write_text
from .runs import git_commit, versions
from .settings import BEST, KIND

TRIALS = "trials.csv"
RUNS = "trials"  # folder of the run folders of a learner's trials
_FEWEST = 10  # trials to the end before importance is worth a look


def ended(study: Any) -> list[Any]:
    """The trials that count, oldest first: scored, cut short, or refused by the agent itself."""
    trials = study.get_trials(deepcopy=False)
    return [
        t for t in trials if t.state.name in ("COMPLETE", "PRUNED") or "refused" in t.user_attrs
    ]


def write_study(
    study: Any, folder: Path, settings: Mapping[str, Any], budget: str, given: Mapping[str, Any]
) -> dict[str, Any] | None:
    """Writes how the study stands.

    Args:
        study: of Optuna.
        folder: where it lies.
        settings: what all of its trials have in common.
        budget: what each trial may cost, in words.
        given: options that were given, that whoever uses the best ones should be given too.

    Returns:
        What ``best.json`` holds; None before the first trial has ended.
    """
    trials = ended(study)
    if not trials:
        return None
    _write_trials(trials, folder)
    scored = [(n, t) for n, t in enumerate(trials) if t.state.name == "COMPLETE"]
    if not scored:
        return None
    number, trial = max(scored, key=lambda pair: pair[1].value)  # of equals the first
    for run in (folder / RUNS).glob("*"):
        if run.name != f"{number:03d}":
            shutil.rmtree(run, ignore_errors=True)
    best = {
        "kind": KIND,
        "agent": settings["agent"],
        "algo": settings.get("algo"),
        "env": settings["env"],
        "env_options": dict(settings["env_options"]),
        "options": {**given, **trial.params},
        "score": trial.value,
        "untuned_score": trials[0].value,
        "trial": number,
        "trials": len(trials),
        "pruned": sum(t.state.name == "PRUNED" for t in trials),
        "budget": f"{len(trials)} trials of {budget}",
        "importance": _importance(study, len(scored)),
        "versions": versions(),
        "git_commit": git_commit(),
    }
    write_json(folder / BEST, best)
    return best


def describe_best(folder: Path, best: Mapping[str, Any]) -> str:
    """A few lines for the terminal: what was found, against what, and where it lies."""
    gain = best["score"] - best["untuned_score"]
    options = ", ".join(f"{name}={_short(value)}" for name, value in best["options"].items())
    lines = [
        f"{best['agent']} on {best['env']}: {best['budget']}; {best['pruned']} cut short",
        f"validation reward per user-step: {best['score']:.4f} by trial {best['trial']}, "
        f"{gain:+.4f} to the agent untuned (the best of many on the same users flatters)",
        f"best options: {options}",
    ]
    if best["importance"]:
        shares = ", ".join(f"{name} {share:.0%}" for name, share in best["importance"].items())
        lines.append(f"what mattered: {shares}")
    return "\n".join([*lines, f"to use them: --settings {folder / BEST}"])


def describe_trial(trial: Any) -> str:
    """How a trial went, in a line."""
    options = ", ".join(f"{name}={_short(value)}" for name, value in trial.params.items())
    if "refused" in trial.user_attrs:
        return f"refused: {options}"
    state = "" if trial.state.name == "COMPLETE" else " (cut short)"
    return f"{trial.user_attrs['score']:.4f}{state}: {options}"


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _write_trials(trials: Sequence[Any], folder: Path) -> None:
    """One row a trial; a trial that was cut short has the best score that it reached."""
    names = list(dict.fromkeys(name for trial in trials for name in trial.params))
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "score", "validations", "seconds", *names])
    for number, trial in enumerate(trials):
        about = trial.user_attrs
        state = "refused" if "refused" in about else trial.state.name.lower()
        values = [trial.params.get(name, "") for name in names]
        seen = len(trial.intermediate_values) or ""
        row = [number, state, about.get("score", ""), seen, about.get("seconds", ""), *values]
        writer.writerow(row)
    write_text(folder / TRIALS, text.getvalue())


def _importance(study: Any, scored: int) -> dict[str, float]:
    """Share of each option in what sets good trials apart; empty while there are few.

    Source: Watanabe, Bansal & Hutter (2023), "PED-ANOVA: efficiently quantifying hyperparameter
    importance in arbitrary subspaces".
    """
    if scored < _FEWEST:
        return {}
    from optuna.importance import PedAnovaImportanceEvaluator, get_param_importances

    found = get_param_importances(study, evaluator=PedAnovaImportanceEvaluator())
    return {name: round(float(share), 4) for name, share in found.items()}
