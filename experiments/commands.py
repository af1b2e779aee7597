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
    from .presets import Preset
    from .report import Report
    from .sweep import Sweep


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
    envs: Sequence[str],
    strengths: Sequence[float],
    options: Mapping[str, Any],
    out: Path,
    *,
    settings: Sequence[Path] = (),
    workers: int = 2,
    engine: str = "local",
    address: str | None = None,
    progress: bool | None = None,
) -> Report:
    """Run a preset, or continue it, and write its report.

    Args:
        name: of the preset.
        envs: environment ids; one at most unless the preset is a sweep.
        strengths: of drift; one at most unless the preset is a sweep.
        options: of the environments.
        out: the benchmark's folder.
        settings: results of ``driftrec tune``.
        workers: jobs at once.
        engine: where they run, "local" or "ray".
        address: of a Ray cluster.
        progress: as ``run_benchmark``.

    Raises:
        UserError: for an unknown preset, several environments or strengths for a preset of one, or
            settings that are not for it; and as ``run_benchmark`` and ``make_engine``.
    """
    from .engines import make_engine
    from .presets import PRESETS
    from .sweep import SWEEPS

    if name not in PRESETS | SWEEPS:
        raise UserError(f"preset must be one of {', '.join(PRESETS | SWEEPS)}, got {name!r}")
    how: dict[str, Any] = {
        "workers": workers,
        "engine": make_engine(engine, address),
        "progress": progress,
    }
    if name in SWEEPS:
        if settings:
            raise UserError(f"settings are tuned for one environment, got preset {name} of several")
        return _sweep(SWEEPS[name].restricted(envs, strengths).with_options(options), out, how)
    for given in (envs, strengths):
        if len(given) > 1:
            raise UserError(f"preset {name} takes one environment and one drift, got {[*given]}")
    options = {**options, **({"drift_strength": strengths[0]} if strengths else {})}
    preset = PRESETS[name]
    preset = replace(
        preset,
        env=check_env_id(envs[0] if envs else preset.env),
        env_options={**preset.env_options, **options},
    )
    return _benchmark(preset, settings, out, how)


def _benchmark(
    preset: Preset, settings: Sequence[Path], out: Path, how: Mapping[str, Any]
) -> Report:
    from .benchmark import run_benchmark
    from .report import write_report  # now, so that nothing fails after minutes of work
    from .results import load_benchmark
    from .settings import read_settings, with_settings

    run_benchmark(with_settings(preset, [read_settings(path) for path in settings]), out, **how)
    return write_report(load_benchmark(out))


def _sweep(sweep: Sweep, out: Path, how: Mapping[str, Any]) -> Report:
    from .sweep import run_sweep
    from .sweep_report import write_sweep_report
    from .sweep_results import load_sweep

    run_sweep(sweep, out, **how)
    return write_sweep_report(load_sweep(out))


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
