"""Agents on RecSim's users, beside random slates, RecSim's myopic agent and a rule of one line.

    python benchmarks/peer_recsim.py --train runs/recsim-0 --seed 0    # the flagship, by PPO
    python benchmarks/peer_recsim.py --out results/recsim.json         # whoever needs no training
    python benchmarks/peer_recsim.py --out results/recsim.json --model runs/recsim-0 --model ...

Interest evolution as in Ie et al. (2019), "SlateQ": 3 of 10 candidates, new ones at every request,
200 minutes a user. The same test users for all; minutes watched per session and the half width of a
95 % interval over users, and over trainings where there are several. Needs the extra ``recsim``; a
minute without training, on a quiet core.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

from driftrec import agents  # noqa: E402
from driftrec.envs.recsim import ENV_ID, SLATE, TOPIC, TOPICS  # noqa: E402
from driftrec.experiments.evaluate import evaluate  # noqa: E402
from driftrec.experiments.files import write_json  # noqa: E402
from driftrec.experiments.runs import load_agent, read_run, versions  # noqa: E402
from driftrec.experiments.seeds import test_users  # noqa: E402
from driftrec.experiments.statistics import bootstrap, mean  # noqa: E402
from driftrec.experiments.train import TrainConfig, train  # noqa: E402

USERS = 500
UNTRAINED = ("moving-average", "discounted-linucb")
PUBLISHED = {"random": 159.2, "myopic, sees interests": 166.3, "SlateQ, best variant": 174.6}
"""Means of Ie et al. (2019) over 5,000 users."""
FLAGSHIP = TrainConfig(
    out="",
    env=ENV_ID,
    agent="interest-attention",
    algo="ppo",
    steps=102_400,
    num_envs=32,
    env_options={"history": 1, "horizon": 160},
    learner_options={
        "pretrain_steps": 0,
        "privileged": False,
        "head": "diverse",  # its odds are exact where few items are to be had
        "diversity": 0.1,
        "vectors": 1,
        "lasting": 1,
        "passing": 1,
        "hidden": 32,
        "gamma": 1.0,  # what a good video gives back is watched at the end of the session
        "gae_lambda": 1.0,
        "sharpness": 1.0,
        "reward_unit": 10.0,
        "learning_rate": 0.04,
        "n_epochs": 4,
        "episode_batch": 16,
    },
    validations=4,
    validation_users=64,
)


class Ranked:
    """Shows the candidates with the largest merit.

    Args:
        merit: gives [B, N] or [N].
    """

    def __init__(self, merit: Callable[[], Any]) -> None:
        self.merit = merit

    def predict(
        self,
        observation: Any,
        state: Any = None,
        episode_start: Any = None,
        deterministic: bool = True,
    ) -> tuple[Any, Any]:
        """Slates [B, K]."""
        merit = np.where(observation["available"] > 0, self.merit(), -np.inf)
        return np.argsort(-merit, axis=1, kind="stable")[:, :SLATE], None


def random(env: Any) -> Ranked:
    """Three of the candidates."""
    rng = np.random.default_rng(0)
    return Ranked(lambda: rng.random((env.num_envs, len(TOPIC))))


def myopic(env: Any) -> Ranked:
    """What the user likes best, by the true interests, which RecSim shows and we do not use."""
    return Ranked(lambda: env.interests()[:, TOPIC])


def static(env: Any) -> Ranked:
    """A profile fitted before the session and frozen: with no history, any order of the topics."""
    merit = np.random.default_rng(1).random((env.num_envs, TOPICS))[:, TOPIC]
    return Ranked(lambda: merit)


def best_topic_first(env: Any) -> Ranked:
    """The rule: whatever the user, the topics in the order of RecSim's own quality."""
    return Ranked(lambda: TOPIC)


REFERENCES: dict[str, Callable[[Any], Any]] = {
    "random": random,
    "static, nothing known": static,
    "myopic, sees interests": myopic,
    "rule: best topic first": best_topic_first,
}


def row(
    agent: Any, options: dict[str, Any] | None = None, kept: list[Any] | None = None
) -> dict[str, Any]:
    """Minutes per session of an agent on the test users: mean, half width of its interval.

    ``kept`` gets the minutes [U].
    """
    result = evaluate(agent, ENV_ID, USERS, test_users(), options)
    minutes = result.score * result.horizon
    if kept is not None:
        kept.append(minutes)
    half = 1.96 * minutes.std(ddof=1) / USERS**0.5
    return {
        "mean": round(float(minutes.mean()), 2),
        "half_width": round(float(half), 2),
        "steps": round(float(result.length.mean()), 1),
    }


def together(minutes: np.ndarray) -> dict[str, Any]:
    """The row of several trainings [S, U]; trainings and users are resampled both."""
    found = bootstrap(minutes, mean)
    return {
        "mean": round(found.estimate, 2),
        "half_width": round((found.high - found.low) / 2, 2),
        "trainings": len(minutes),
    }


def model(folder: Path, kept: list[Any] | None = None) -> dict[str, Any]:
    """The row of a run, of sessions that nothing cuts; ``kept`` as in ``row``."""
    record = read_run(folder)
    options = {k: v for k, v in record["train"]["env_options"].items() if k != "horizon"}
    about = {key: value for key, value in record["train"].items() if key != "out"}
    about["best_step"] = record["result"]["best_step"]
    return row(partial(load_agent, folder, env_id=ENV_ID), options, kept) | {"train": about}


def main() -> None:
    """Train, or measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, help="run folder: train the flagship into it")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--model", type=Path, action="append", help="run folder, instead of agents")
    parser.add_argument("--only", choices=(*REFERENCES, *UNTRAINED), help="one row alone")
    parser.add_argument("--out", type=Path, help="JSON file, to which rows are added")
    given = parser.parse_args()
    if given.train:
        plain = {**vars(FLAGSHIP), "out": str(given.train), "seed": given.seed}
        print(train(TrainConfig(**plain), progress=None))
        return
    kept: list[Any] = []
    if given.model:
        jobs = {f"run {folder.name}": partial(model, folder, kept) for folder in given.model}
    else:
        made = {name: partial(agents.make, name) for name in UNTRAINED}
        jobs = {name: partial(row, agent) for name, agent in {**REFERENCES, **made}.items()}
        jobs = {given.only: jobs[given.only]} if given.only else jobs
    rows = {}
    for label, measure in jobs.items():
        rows[label] = measure()
        print(f"{label:30s} {rows[label]['mean']:7.1f} +- {rows[label]['half_width']:.1f}")
    if len(kept) > 1:
        rows["all runs"] = together(np.stack(kept))
        print(f"{'all runs':30s} {rows['all runs']}")
    if given.out:
        used = versions() | {"recsim-no-tf": version("recsim-no-tf")}
        report: dict[str, Any] = {"users": USERS, "versions": used}
        report |= {"published": PUBLISHED, "minutes": {}}
        if given.out.exists():
            report = json.loads(given.out.read_text(encoding="utf-8"))
        report["minutes"].update(rows)
        write_json(given.out, report)


if __name__ == "__main__":
    main()
