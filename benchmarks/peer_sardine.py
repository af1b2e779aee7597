"""Agents on SARDINE's users, beside random slates and SARDINE's own greedy oracle.

    python benchmarks/peer_sardine.py --out results/sardine.json
    python benchmarks/peer_sardine.py --train runs/Bored-0 --env Bored --seed 0    # the flagship
    python benchmarks/peer_sardine.py --out results/sardine.json --model runs/Bored-0   # its row

Two hundred test users of 100 requests, the same for all; clicks per episode and the half width of a
95 % interval over users. The first line of each id is of SARDINE's own users one after the
other, from the seed 2024. Needs the extra ``peers``; a minute.
"""

from __future__ import annotations

import argparse
import json
import os
from functools import partial
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import gymnasium as gym  # noqa: E402
import numpy as np  # noqa: E402

import driftrec.envs.sardine  # noqa: E402, F401  (SARDINE's ids)
from driftrec import agents  # noqa: E402
from driftrec.experiments.evaluate import evaluate  # noqa: E402
from driftrec.experiments.files import write_text  # noqa: E402
from driftrec.experiments.runs import load_agent, read_run, versions  # noqa: E402
from driftrec.experiments.seeds import test_users  # noqa: E402
from driftrec.experiments.train import TrainConfig, train  # noqa: E402

IDS = {"Bored": "sardine/SlateTopK-Bored-v0", "BoredInf": "sardine/SlateTopK-BoredInf-v0"}
DIVERSITY = {"Bored": 5.0, "BoredInf": 4.0}  # what decides there is balance within a slate
USERS = 200
GREEDY = -1  # in SARDINE's action: fill this slot by the user's true relevance
TUNED: dict[str, dict[str, Any]] = {
    "random": {},
    "moving-average": {},
    "discounted-linucb": {},
    "moving-average, balanced": {"satiation": 0.0, "balance": 1.0},
    "discounted-linucb, balanced": {"gamma": 0.98, "satiation": 0.0, "balance": 0.5},
}
"""Agents by their names: the options that differ from their own."""


def flagship(out: Path, name: str, seed: int) -> TrainConfig:
    """How the flagship is trained by PPO, on feedback alone."""
    return TrainConfig(
        str(out),
        env=IDS[name],
        steps=12_800,
        seed=seed,
        num_envs=32,
        env_options={"history": 1},
        learner_options={
            "pretrain_steps": 0,
            "privileged": False,
            "head": "diverse",
            "diversity": DIVERSITY[name],
            "vectors": 1,
            "sharpness": 6.0,
            "reward_unit": 10.0,
            "learning_rate": 1e-3,
            "n_epochs": 2,  # nothing was practised before
        },
        validations=4,
        validation_users=64,
    )


def greedy_oracle(env_id: str, seeds: list[int | None]) -> np.ndarray:
    """Clicks per episode of SARDINE's greedy oracle; None goes on with the stream before."""
    env, earned = gym.make(env_id).unwrapped, np.zeros(len(seeds))
    for user, seed in enumerate(seeds):
        env.reset(seed=seed)
        over = False
        while not over:
            _, reward, over, _, _ = env.step(np.full(env.slate_size, GREEDY))
            earned[user] += reward
    return earned


def row(clicks: np.ndarray) -> dict[str, float]:
    """Mean and half width of its 95 % interval."""
    half = 1.96 * clicks.std(ddof=1) / len(clicks) ** 0.5
    return {"mean": round(float(clicks.mean()), 2), "half_width": round(float(half), 2)}


def clicks_of(agent: Any, env_id: str, options: dict[str, Any] | None = None) -> np.ndarray:
    """Clicks per episode of an agent, on the test users."""
    result = evaluate(agent, env_id, USERS, test_users(), options)
    return result.score * result.horizon


def agents_on(env_id: str) -> dict[str, dict[str, Any]]:
    """Rows of SARDINE's oracle and of the agents that need no training."""
    stream: list[int | None] = [2024, *[None] * (USERS - 1)]
    own: list[int | None] = [test_users() + user for user in range(USERS)]
    rows: dict[str, dict[str, Any]] = {
        "greedy oracle, seed 2024": row(greedy_oracle(env_id, stream)),
        "greedy oracle": row(greedy_oracle(env_id, own)),
    }
    for label, options in TUNED.items():
        make = partial(agents.make, label.partition(",")[0], **options)
        rows[label] = row(clicks_of(make, env_id)) | {"options": options}
    return rows


def model(folder: Path) -> tuple[str, dict[str, dict[str, Any]]]:
    """The id that a run was trained on, and its row."""
    record = read_run(folder)
    trained = record["train"]
    env_id = trained["env"]
    clicks = clicks_of(partial(load_agent, folder, env_id=env_id), env_id, trained["env_options"])
    about = {key: value for key, value in trained.items() if key != "out"}
    about["best_step"] = record["result"]["best_step"]
    return env_id, {f"run {folder.name}": row(clicks) | {"train": about}}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--train", type=Path, help="run folder: train the flagship into it")
    parser.add_argument("--env", default="Bored", choices=IDS, help="where it is trained")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--model", type=Path, action="append", help="run folder, instead of agents")
    parser.add_argument("--out", type=Path, help="JSON file, to which rows are added")
    given = parser.parse_args()
    if given.train:
        print(train(flagship(given.train, given.env, given.seed), progress=None))
        return
    if given.model:
        found = [model(folder) for folder in given.model]
    else:
        found = [(env_id, agents_on(env_id)) for env_id in IDS.values()]
    for env_id, rows in found:
        for label, clicks in rows.items():
            print(f"{env_id:32s} {label:30s} {clicks['mean']:7.1f} +- {clicks['half_width']:.1f}")
    if given.out:
        report: dict[str, Any] = {"users": USERS, "versions": versions(), "clicks": {}}
        if given.out.exists():
            report = json.loads(given.out.read_text(encoding="utf-8"))
        for env_id, rows in found:
            report["clicks"].setdefault(env_id, {}).update(rows)
        write_text(given.out, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
