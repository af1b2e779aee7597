"""The gate: does a world tell good recommenders from bad ones, and leave room to learn?"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .constant_policies import Maker, constant_policies
from .criteria import LADDER, Check, judge, paired_gap
from .evaluate import run_sessions
from .files import check_writable, write_json
from .presets import Options, grid
from .progress import bar
from .seeds import test_users, validation_users
from .worlds import check_env_id, env_ids, law_hash, make_batch

if TYPE_CHECKING:
    from driftrec.agents import Agent
    from driftrec.envs import DriftVectorEnv

Floats = npt.NDArray[np.float64]

Grids = Mapping[str, tuple[Options, ...]]

# Around what tuning found best in one domain or another.
STATIC: Grids = {
    "static-interest": grid(
        gamma=(0.98, 1.0), diversity=(0.2, 0.3, 0.5), satiation=(0.0, 0.1), reserve=(-0.5, 0.0)
    )
}
ADAPTIVE: Grids = {
    "moving-average": grid(decay=(0.97,), diversity=(0.2, 0.3)),
    "discounted-linucb": grid(
        gamma=(0.93, 0.97, 1.0),
        diversity=(0.1, 0.3),
        alpha=(0.0, 0.3),
        reserve=(-0.5, 0.0),
        ridge=(2.0,),
    ),
    "sliding-linucb": grid(window=(20, 45), diversity=(0.2,), alpha=(0.3,), ridge=(2.0,)),
    "discounted-thompson": grid(gamma=(0.95,), diversity=(0.1, 0.2), alpha=(0.1,)),
}
FAR_SIGHTED: Grids = {"oracle": grid(loyalty=(0.0, 0.1, 0.25, 0.5, 1.0))}  # in mean worths


@dataclass(frozen=True)
class GateConfig:
    """How the gate measures.

    Attributes:
        users: in each block of users; all agents meet the same.
        seeds: blocks of users that the verdicts rest upon.
        filter_options: options of the Bayes filter.
        still_history: slates of the warm-up in the world without drift, at least those of the
            environment: a profile is static about what it has seen, and there is no end to a taste.
        env_options: options of the environment.
        static: configurations of static agents to choose from on the validation users.
        adaptive: the same of adaptive agents.
        far_sighted: the same of the oracle; its loyalty is in units of the mean worth of an item.
    """

    users: int = 64
    seeds: int = 10
    filter_options: Options = field(default_factory=dict)
    still_history: int = 300
    env_options: Options = field(default_factory=dict)
    static: Grids = field(default_factory=lambda: STATIC)
    adaptive: Grids = field(default_factory=lambda: ADAPTIVE)
    far_sighted: Grids = field(default_factory=lambda: FAR_SIGHTED)


@dataclass(frozen=True)
class GateReport:
    """What the gate found.

    Attributes:
        env_id: the environment.
        law: fingerprint of its knobs and items, ``worlds.law_hash``.
        config: how it was measured.
        chosen: which constant policy and which configurations were best on the validation users.
        scores: [S] mean reward per user-step in each block of users, by rung of the ladder; besides
            those of ``far-sighted``, the oracle with the loyalty that pays best.
        still: the same of static and adaptive without drift.
        checks: the verdicts.
        seconds: wall time of each rung.
    """

    env_id: str
    law: str
    config: GateConfig
    chosen: dict[str, str]
    scores: dict[str, Floats]
    still: dict[str, Floats]
    checks: list[Check]
    seconds: dict[str, float]

    @property
    def passed(self) -> bool:
        """Whether every criterion holds."""
        return all(check.passed for check in self.checks)

    def plain(self) -> dict[str, Any]:
        """As plain values."""
        return {
            **asdict(self),
            "scores": {name: score.tolist() for name, score in self.scores.items()},
            "still": {name: score.tolist() for name, score in self.still.items()},
            "passed": self.passed,
        }


def run_gate(
    env_id: str, config: GateConfig | None = None, *, progress: bool | None = None
) -> GateReport:
    """Measures one environment, about two minutes on one core with the default configuration.

    Raises:
        UserError: for an unknown environment or option.
        ValueError: for fewer than two seeds.
    """
    config = config or GateConfig()
    if config.seeds < 2:
        raise ValueError(f"seeds must be at least 2, got {config.seeds}")
    env_id, options = check_env_id(env_id), dict(config.env_options)
    with bar(progress, desc=env_id, total=7 + len(LADDER)) as ticks:
        env = make_batch(env_id, config.users, options)
        rungs: dict[str, tuple[str, Maker]] = {
            "random": ("random", _maker("random", {})),
            "constant": _best(env, constant_policies(env), ticks),
            "static": _best(env, _configurations(env, config.static), ticks),
            "adaptive": _best(env, _configurations(env, config.adaptive), ticks),
            "filter": ("bayes-filter", _maker("bayes-filter", config.filter_options)),
            "oracle": ("oracle", _maker("oracle", {})),
        }
        # Loyalties differ by little: it takes more users to tell which is best.
        crowd = make_batch(env_id, 10 * config.users, options)
        rungs["far-sighted"] = _best(crowd, _configurations(crowd, config.far_sighted), ticks)
        scores, seconds = {}, {}
        for rung in rungs:
            started = time.perf_counter()
            scores[rung] = _scores(env, rungs[rung][1], config.seeds)
            seconds[rung] = round(time.perf_counter() - started, 2)
            ticks.update()
        chosen = {rung: name for rung, (name, _) in rungs.items()}
        history = max(config.still_history, env.unwrapped.history)
        quiet = make_batch(
            env_id, config.users, options | {"drift_strength": 0.0, "history": history}
        )
        still = {}
        for rung, candidates in (("static", config.static), ("adaptive", config.adaptive)):
            name, maker = _best(quiet, _configurations(quiet, candidates), ticks)
            still[rung], chosen[f"{rung}, no drift"] = _scores(quiet, maker, config.seeds), name
    promised = env.unwrapped.simulator.domain.long_term
    checks = judge(scores, still, scores["far-sighted"] if promised else None)
    return GateReport(env_id, law_hash(env), config, chosen, scores, still, checks, seconds)


def _maker(name: str, options: Options) -> Maker:
    def make(env: Any) -> Agent:
        from driftrec import agents

        return agents.make(name, env, **options)

    return make


def _configurations(env: DriftVectorEnv, grids: Grids) -> Iterator[tuple[str, Maker]]:
    for name, configurations in grids.items():
        for options in configurations:
            if "loyalty" in options:
                worth = float(env.unwrapped.simulator.worth.mean())
                options = {**options, "loyalty": options["loyalty"] * worth}
            if "window" in options:
                history = env.unwrapped.simulator.history
                options = {**options, "window": min(options["window"], history)}
            told = ", ".join(f"{key} {value:g}" for key, value in options.items())
            yield f"{name} ({told})", _maker(name, options)


def _scores(env: DriftVectorEnv, maker: Maker, seeds: int) -> Floats:
    """[S] mean score of an agent in each block of test users."""
    agent = maker(env)
    return np.array([_score(env, agent, test_users(block)) for block in range(seeds)])


def _score(env: DriftVectorEnv, agent: Any, first_user: int) -> float:
    return float(run_sessions(agent, env, first_user, "gate", "gate").score.mean())


def _best(
    env: DriftVectorEnv, candidates: Iterator[tuple[str, Maker]], ticks: Any
) -> tuple[str, Maker]:
    """The candidate with the largest score on the validation users."""
    scored = [
        (_score(env, maker(env), validation_users()), name, maker) for name, maker in candidates
    ]
    ticks.update()
    _, name, maker = max(scored, key=lambda entry: entry[0])
    return name, maker


# --- what is printed ----------------------------------------------------------------------------


def gate_command(
    env: str,
    config: GateConfig,
    out: Path | None = None,
    on_report: Callable[[str], object] | None = None,
    *,
    progress: bool | None = None,
) -> list[dict[str, Any]]:
    """Gates one environment or "all" of them, and writes the reports to ``out``.

    Raises:
        UserError: for an unknown environment or option, or where ``out`` cannot be written.
    """
    ids = env_ids() if env == "all" else [check_env_id(env)]
    if out is not None:
        check_writable(out.parent)
    reports = []
    for env_id in ids:
        report = run_gate(env_id, config, progress=progress)
        reports.append(report.plain())
        if on_report is not None:
            on_report(describe(report))
        if out is not None:  # after each: an interruption loses one environment, not all
            write_json(out, {"reports": reports})
    return reports


def summary(reports: Sequence[Mapping[str, Any]]) -> str:
    """One line of Markdown for each report in its plain form: scores as shares of the oracle's."""
    rungs = [rung for rung in (*LADDER, "far-sighted") if rung != "oracle"]
    lines = [
        f"| id | {' | '.join(rungs)} | filter / best bandit | without drift, static / adaptive | |",
        f"| --- |{' ---: |' * (len(rungs) + 2)} --- |",
    ]
    for report in reports:
        mean = {rung: float(np.mean(scores)) for rung, scores in report["scores"].items()}
        still = {rung: float(np.mean(scores)) for rung, scores in report["still"].items()}
        shares = [f"{mean[rung] / mean['oracle']:.2f}" for rung in rungs]
        shares.append(f"{mean['filter'] / mean['adaptive']:.2f}")
        shares.append(f"{still['static'] / still['adaptive']:.2f}")
        verdict = "pass" if report["passed"] else "FAIL"
        lines.append(f"| `{report['env_id']}` | {' | '.join(shares)} | {verdict} |")
    return "\n".join(lines)


def describe(report: GateReport) -> str:
    """The scores and the verdicts as text."""
    lines = [f"{report.env_id}: {report.config.seeds} x {report.config.users} users"]
    lines.append(f"  {'':<12}{'score':>9}{'s.e.':>8}{'of oracle':>11}{'seconds':>9}  which")
    oracle = report.scores["oracle"].mean()
    for rung in report.seconds:
        score, error = paired_gap(report.scores[rung], np.zeros(report.config.seeds))
        lines.append(
            f"  {rung:<12}{score:>9.4f}{error:>8.4f}{score / oracle:>11.2f}"
            f"{report.seconds[rung]:>9.1f}  {report.chosen[rung]}"
        )
    lines.append("  without drift")
    for rung, scores in report.still.items():
        score, error = paired_gap(scores, np.zeros(report.config.seeds))
        lines.append(
            f"  {rung:<12}{score:>9.4f}{error:>8.4f}{'':>20}  {report.chosen[f'{rung}, no drift']}"
        )
    for check in report.checks:
        lines.append(f"  {'pass' if check.passed else 'FAIL'}  {check.name}: {check.detail}")
    return "\n".join(lines)
