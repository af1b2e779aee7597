"""What the commands do between reading their options and printing the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import UserError
from .files import check_writable
from .progress import bar
from .worlds import DEFAULT_ENV, check_env_id

if TYPE_CHECKING:
    from .evaluate import EvaluationResult
    from .report import Report


def evaluate_command(
    agent: str | None,
    model: Path | None,
    env: str | None,
    users: int,
    seed: int,
    options: Mapping[str, Any],
    *,
    settings: Path | None = None,
    out: Path | None = None,
    progress: bool | None = None,
) -> dict[str, Any]:
    """Evaluate an agent by name, or the model of a run folder in the world it was trained for.

    Raises:
        UserError: unless exactly one of ``agent`` and ``model`` is given; for ``settings`` of
            another agent, or beside a model, which has its own; and as ``evaluate``.
    """
    from driftrec import agents

    from .evaluate import evaluate
    from .presets import label
    from .pretraining import describe_stages, stages_of
    from .runs import load_agent, read_run
    from .settings import read_settings

    if (agent is None) == (model is None):
        raise UserError("give either --agent or --model, " + ("not both" if agent else "got none"))
    if settings is not None and model is not None:
        raise UserError("give --settings beside --agent: a model was trained with its own")
    if out is not None:
        check_writable(out.parent)
    served_by: Any = agent
    told: dict[str, Any] = {}
    if model is None:
        env_id, name = check_env_id(env or DEFAULT_ENV), str(agent)
        if settings is not None:
            tuned = read_settings(settings)
            tuned.check(agent)
            served_by = partial(agents.make, name, **tuned.options)
            told = {"agent_options": tuned.options}
    else:
        record = read_run(model)
        trained, told = record["train"], {"pretraining": describe_stages(stages_of(record))}
        env_id = check_env_id(env or trained["env"])
        options = {**trained["env_options"], **options}
        name = label(trained["agent"], trained["algo"])
        served_by = partial(load_agent, model, env_id=env_id)
    # Shown after two seconds only.
    with bar(progress, desc="evaluating", unit="step", delay=2, leave=False) as shown:

        def show(step: int, horizon: int) -> None:
            shown.total = horizon
            shown.update(step - shown.n)

        result = evaluate(served_by, env_id, users, seed, options, name=name, on_step=show)
    if out is not None:
        result.save(out)
    return summarize(result) | told | {"env_options": dict(options)}


def summarize(result: EvaluationResult) -> dict[str, Any]:
    """One evaluation as plain values; ``score`` is the interquartile mean over users."""
    from .statistics import bootstrap

    interval = bootstrap(result.score[None])
    return {
        "agent": result.agent,
        "env": result.env_id,
        "users": result.users,
        "seed": result.seed,
        "score": interval.estimate,
        "interval": [interval.low, interval.high],
        "mean": float(result.score.mean()),
        "steps_stayed": float(result.length.mean()),
        "coverage": result.coverage,
        "diversity": float(result.diversity.mean()),
        "seconds": round(result.seconds, 3),
    }


def benchmark_command(
    name: str,
    env: str | None,
    options: Mapping[str, Any],
    out: Path,
    *,
    settings: Sequence[Path] = (),
    workers: int = 2,
    progress: bool | None = None,
) -> Report:
    """Run a preset, or continue it, and write its report.

    Raises:
        UserError: for an unknown preset, or settings that are not for it; and as ``run_benchmark``.
    """
    from .benchmark import run_benchmark
    from .presets import PRESETS
    from .report import write_report  # now, so that nothing fails after minutes of work
    from .results import load_benchmark
    from .settings import read_settings, with_settings

    if name not in PRESETS:
        raise UserError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}")
    preset = PRESETS[name]
    preset = replace(
        preset,
        env=check_env_id(env or preset.env),
        env_options={**preset.env_options, **options},
    )
    preset = with_settings(preset, [read_settings(path) for path in settings])
    run_benchmark(preset, out, workers=workers, progress=progress)
    return write_report(load_benchmark(out))


def recommend_command(
    model: Path, history: Path, request: str, count: int, at: str | None
) -> dict[str, Any]:
    """Recommend to one user of one's own by the model of a run folder or of an export.

    Returns:
        ``request``: the known request that was understood, and ``items``: rank, item_id, title and
        score of each.

    Raises:
        UserError: for a bad history, time or count, or a model that cannot be used.
    """
    from .recommend import USER, load_recommender, read_history, read_time

    when = read_time(at)
    recommender = load_recommender(model)
    recommender.restore(read_history(history, recommender.items))
    items = recommender.recommend(USER, request, count, when)
    understood = recommender.items.requests[recommender.asked(request, when).request]
    return {"request": understood, "items": [asdict(item) for item in items]}
