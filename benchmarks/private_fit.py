"""What privacy costs, and what it hides: next-feedback loss, reward and an attack by epsilon.

    python benchmarks/private_fit.py accuracy --out results/privacy   # three minutes
    python benchmarks/private_fit.py attack --out results/privacy     # one minute
    python benchmarks/private_fit.py figure --out results/privacy

accuracy: popularity and interest are read from 8,000 users of the plain world's log by
differentially private steps at several epsilons, on items known by the catalogue alone; loss on
choices of 1,000 others, and the reward of the recommender that starts from the fit, before any
other training, on 300 users, the same for all. The first row has read nothing, the last the plain
fit, which clips nothing, fits interests and item vectors too, and is told of no popularity.

attack: a setting made to be remembered, 20 users read 12 times with item vectors fitted, so that
there is something to hide: 40 users, each in half of 10 fits, and an attacker who knows the other
9 fits (``driftrec.experiments.membership``). The same fit without noise (epsilon 1,000,000) and
with it differ in nothing else.
"""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

from driftrec.agents.guarantee import PrivateFitConfig, plan_guarantee  # noqa: E402
from driftrec.agents.learners import make_learner  # noqa: E402
from driftrec.agents.logfit import UNREAD, fit_interest  # noqa: E402
from driftrec.agents.platform import Platform  # noqa: E402
from driftrec.agents.privatefit import fit_interest_privately  # noqa: E402
from driftrec.envs.sb3 import BatchVecEnv  # noqa: E402
from driftrec.experiments.evaluate import evaluate  # noqa: E402
from driftrec.experiments.figures import STYLE, save  # noqa: E402
from driftrec.experiments.files import read_json, write_json  # noqa: E402
from driftrec.experiments.membership import attack, halves, losses  # noqa: E402
from driftrec.experiments.runs import versions  # noqa: E402
from driftrec.experiments.seeds import test_users  # noqa: E402
from driftrec.experiments.statistics import bootstrap, bootstrap_difference, mean  # noqa: E402
from driftrec.experiments.worlds import make_batch  # noqa: E402

ENV = "driftrec/DriftingInterest-v0"
NO_NOISE = 1e6
EPSILONS = (0.5, 1.0, 4.0, 16.0, NO_NOISE)
USERS, OTHERS, SERVED = 8000, 1000, 300
WORLD = {"history": 20, "horizon": 50}
SMALL = {"slate_size": 4, "history": 20, "horizon": 20}
MODELS, TARGETS, PASSES = 10, 40, 12
ATTACKED = (0.5, 2.0, 8.0, NO_NOISE)


class Fitting:
    """A network that is fitted anew from the same start, and asked for users' losses."""

    def __init__(self, world: dict[str, Any], **options: Any) -> None:
        env = BatchVecEnv(make_batch(ENV, 4, world))
        self.learner = make_learner("gru", "ppo", env, seed=1, items="catalogue", **options)
        self.network = self.learner.policy.network
        log = Platform.of(env).log
        self.slates, self.feedback = log.slates, log.feedback
        self._start = copy.deepcopy(self.network.state_dict())

    def begin(self) -> None:
        """Forgets every fit."""
        self.network.load_state_dict(self._start)

    def plain(self, rows: np.ndarray, passes: int, rate: float = 0.01) -> None:
        """The fit without privacy."""
        self.begin()
        rng = np.random.default_rng(0)
        fit_interest(self.network, self.slates[rows], self.feedback[rows], passes, rng, rate)

    def private(self, rows: np.ndarray, config: PrivateFitConfig) -> None:
        """The fit with privacy, by noise that nobody can draw again."""
        self.begin()
        fit_interest_privately(self.network, self.slates[rows], self.feedback[rows], config)

    def loss(self, rows: np.ndarray) -> np.ndarray:
        """[U] negative log-likelihood of a choice, in nats, of each user."""
        shown = torch.as_tensor(self.slates[rows]).long()
        with torch.no_grad():
            evidence = self.network.evidence(shown, torch.as_tensor(self.feedback[rows]))
        return -evidence[:, UNREAD:].mean(1).double().numpy()

    def reward(self) -> np.ndarray:
        """[1, U] of each user, by the recommender that starts from the fit."""
        self.network.sharpness.fill_(self.learner.sharpness)
        result = evaluate(lambda env: self.learner, ENV, SERVED, test_users(), WORLD)
        self.network.sharpness.fill_(1.0)
        return result.score[None]


def accuracy() -> dict[str, Any]:
    """Loss and reward at every epsilon."""
    fitting = Fitting(WORLD)
    read, others = np.arange(USERS), np.arange(USERS, USERS + OTHERS)
    unread = fitting.reward()

    def row(kind: str, **more: Any) -> dict[str, Any]:
        loss, reward = bootstrap(fitting.loss(others)[None], mean), fitting.reward()
        gain = bootstrap_difference(reward, unread)
        found = {"loss": loss, "reward": bootstrap(reward), "above unfitted": gain}
        print(kind, more, found, flush=True)
        return {"kind": kind, **{name: asdict(x) for name, x in found.items()}, **more}

    rows = [row("unfitted")]
    for epsilon in EPSILONS:
        config = PrivateFitConfig(epsilon, 1e-5, passes=1, rate=0.02)
        fitting.private(read, config)
        rows.append(row("private", asked=epsilon, guarantee=asdict(plan_guarantee(USERS, config))))
    fitting.plain(read, passes=2, rate=0.02)
    rows.append(row("plain"))
    return {"env": ENV, "world": WORLD, "users": USERS, "versions": versions(), "rows": rows}


def attacked() -> dict[str, Any]:
    """Area under the ROC of the attacks at every epsilon, and on the plain fit."""
    fitting = Fitting(SMALL, lasting=4, passing=8)
    everyone = np.arange(TARGETS)
    member = halves(MODELS, TARGETS, np.random.default_rng(0))

    def by(fit: Callable[[np.ndarray], None]) -> dict[str, Any]:
        def losses_after(rows: np.ndarray) -> np.ndarray:
            fit(rows)
            return fitting.loss(everyone)

        found = attack(losses(losses_after, member), member)
        return {name: asdict(interval) for name, interval in found.items()}

    rows = [{"kind": "plain", **by(lambda rows: fitting.plain(rows, PASSES, rate=0.02))}]
    for epsilon in ATTACKED:
        config = PrivateFitConfig(
            epsilon, 1e-3, passes=PASSES, batch=TARGETS // 2, rate=0.02, parts="items"
        )
        plan = asdict(plan_guarantee(TARGETS // 2, config))
        found = by(lambda rows, config=config: fitting.private(rows, config))
        rows.append({"kind": "private", "asked": epsilon, "guarantee": plan, **found})
        print(rows[-1], flush=True)
    setting = {"models": MODELS, "users": TARGETS, "passes": PASSES}
    return {"env": ENV, "world": SMALL, **setting, "versions": versions(), "rows": rows}


def draw(accuracy: dict[str, Any], attack: dict[str, Any]) -> Figure:
    """Three panels over epsilon: loss, reward, and how well members are told from strangers."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7.4, 2.7), layout="constrained")
        panels = figure.subplots(1, 3)
        for axes, name, title in (
            (panels[0], "loss", "loss on other users, nats"),
            (panels[1], "reward", "reward per request"),
        ):
            private = [r for r in accuracy["rows"] if r["kind"] == "private"]
            _line(axes, private, name, "#0072B2", "private")
            for kind, color in (("unfitted", "#666666"), ("plain", "#D55E00")):
                level = next(r for r in accuracy["rows"] if r["kind"] == kind)[name]["estimate"]
                axes.axhline(level, color=color, lw=1, ls=(0, (4, 2)), label=kind)
            axes.set_title(title)
        for name, color in (("threshold", "#0072B2"), ("ratio", "#CC79A7")):
            private = [r for r in attack["rows"] if r["kind"] == "private"]
            _line(panels[2], private, name, color, f"attack by {name}")
        panels[2].axhline(0.5, color="#666666", lw=1, ls=(0, (4, 2)), label="chance")
        panels[2].set_title("members told apart, AUC")
        for axes in panels:
            axes.set_xlabel("epsilon")
            axes.legend(fontsize=7)
    return figure


def _line(axes: Any, rows: list[dict[str, Any]], name: str, color: str, label: str) -> None:
    place = np.arange(len(rows))
    values = np.array([[r[name][part] for part in ("estimate", "low", "high")] for r in rows])
    axes.fill_between(place, values[:, 1], values[:, 2], color=color, alpha=0.15, lw=0)
    axes.plot(place, values[:, 0], "o-", color=color, ms=3.5, label=label)
    names = ["no noise" if r["asked"] == NO_NOISE else f"{r['asked']:g}" for r in rows]
    axes.set_xticks(place, names)


def main() -> None:
    """Measures a part, or draws both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("accuracy", "attack", "figure"))
    parser.add_argument("--out", type=Path, default=Path("results/privacy"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.part == "figure":
        found = [read_json(args.out / f"{name}.json") for name in ("accuracy", "attack")]
        save(draw(*found), args.out / "privacy.png")
        return
    write_json(
        args.out / f"{args.part}.json", accuracy() if args.part == "accuracy" else attacked()
    )


if __name__ == "__main__":
    main()
