"""What a lighter or a pretrained user model costs and loses; prints a table, and keeps it.

    python benchmarks/lighter.py --out results/lighter.json                   # the small user model
    python benchmarks/lighter.py --out results/lighter.json --backbone minilm # adds its rows
    python benchmarks/lighter.py --out results/lighter.json --backbone smollm2 --steps 0

The small user model is the default one (two layers of 64 dimensions); the others read slates with a
frozen language model in its place (``driftrec train --backbone``). Each is trained as the presets
do, by PPO for --steps user-steps after a practice of ten times as many, then made lighter by each
flag of ``Recommender.load``.

``size`` in MB is that of the user model on disk, without its items; ``zipped`` the same compressed,
which is where pruned weights count. ``p50`` and ``p99`` are CPU milliseconds on one thread of
``observe`` followed by ``recommend(k=10)``, of --events events after 64, among 1,000 items; all
flags are served in turn.
``overlap`` is the share of ten items that stay among the ten. ``score`` is the mean of return /
horizon over --users test users of ``driftrec/Video-v0``, 0 being static-interest and 1 the oracle;
``lost`` is fp32's less it, paired by user, with the half width of its 95 % interval. A model that
was not trained has no score. Compiling changes no score, and is not scored again.
"""

from __future__ import annotations

import argparse
import copy
import io
import json
import os
import zlib
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import gymnasium as gym  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402
from serving import WARM, stream, timed  # noqa: E402

import driftrec.envs  # noqa: E402, F401
from driftrec.agents.learners import load_learner, make_learner  # noqa: E402
from driftrec.agents.network import Network  # noqa: E402
from driftrec.agents.policy import InterestAttentionPolicy  # noqa: E402
from driftrec.agents.serving import Recommender, ServedModel  # noqa: E402
from driftrec.agents.serving.precision import context, in_fp32, lighten  # noqa: E402
from driftrec.agents.transfer import OF_ITEMS  # noqa: E402
from driftrec.envs.sb3 import BatchVecEnv  # noqa: E402
from driftrec.experiments.evaluate import evaluate  # noqa: E402
from driftrec.experiments.files import write_json  # noqa: E402
from driftrec.experiments.presets import PRETRAINED  # noqa: E402
from driftrec.experiments.runs import git_commit, versions  # noqa: E402
from driftrec.experiments.seeds import test_users, train_users  # noqa: E402

ENV = "driftrec/Video-v0"
FLAGS: dict[str, dict[str, Any]] = {
    "fp32": {},
    "bf16": {"precision": "bf16"},
    "int8": {"precision": "int8"},
    "pruned 30 %": {"pruned": 0.3},
    "pruned 60 %": {"pruned": 0.6},
    "pruned 60 %, int8": {"pruned": 0.6, "precision": "int8"},
    "compiled": {"compiled": True},
}
TURN = 20  # events
ENDS = ("static-interest", "oracle")  # what a score of 0 and of 1 is


class Lighter:
    """A trained policy whose network was made lighter."""

    def __init__(
        self, policy: InterestAttentionPolicy, precision: str = "fp32", pruned: float = 0.0
    ) -> None:
        self.policy, self.precision = policy, precision
        self.network = lighten(copy.deepcopy(policy.network), precision, pruned)
        self.network.fix_items()  # in fp32, as they are served

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: Any = 0
    ) -> tuple[np.ndarray, Any]:
        """As the policy's."""
        whole, self.policy.network = self.policy.network, self.network
        try:
            obs = {name: torch.as_tensor(np.asarray(part)) for name, part in observation.items()}
            with torch.no_grad(), context(self.precision):
                output, state = self.policy.advance(obs, state, episode_start)
            with torch.no_grad():
                return self.policy.choose(in_fp32(output), True).numpy(), state
        finally:
            self.policy.network = whole


def trained(backbone: str, steps: int, work: Path) -> Any:
    """The learner, trained here or before."""
    file = work / f"{backbone or 'small'}-{steps}.zip"
    env = BatchVecEnv(gym.make_vec(ENV, num_envs=64, diagnostics=False))
    if file.exists():
        return load_learner(str(file), env)
    given = {"backbone": backbone} if backbone else {}
    taught = {**PRETRAINED, "practice_steps": 10 * steps, "pretrain_steps": steps // 2}
    learner = make_learner("interest-attention", "ppo", env, seed=0, **taught, **given)
    env.seed(train_users(0))
    if steps:
        learner.learn(steps)
    work.mkdir(parents=True, exist_ok=True)
    learner.save(file)
    return learner


def scored(agent: Any, users: int, file: Path) -> np.ndarray:
    """[U] scores of the users, measured now or before."""
    if not file.exists():
        found = evaluate(agent, ENV, users, test_users()).score
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, found)
    return np.load(file)


def sizes(network: Network) -> tuple[float, float]:
    """Megabytes of the user model, as it is and compressed."""
    state = {name: part for name, part in network.state_dict().items() if name not in OF_ITEMS}
    body = getattr(network, "backbone", None)
    if body is not None and hasattr(body, "model"):  # frozen, and so not among the weights
        state |= {f"body.{name}": part for name, part in body.model.state_dict().items()}
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.tell() / 1e6, len(zlib.compress(buffer.getvalue(), 1)) / 1e6


def ranked(recommender: Recommender, model: ServedModel) -> np.ndarray:
    """[R, 10] the best ten at some requests of a user."""
    rows = []
    for step, event in enumerate(stream(model.items, "ben", 80, 1)):
        recommender.observe(event)
        if step % 4 == 3:
            output = recommender.output("ben", recommender.asked("", event.time))
            rows.append(np.argsort(-output.scores[0, 0].float().numpy())[:10])
    return np.stack(rows)


def in_turn(
    model: ServedModel, flags: list[str], events: int
) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """CPU milliseconds [events] of each event under each of the flags, and which do not run here.

    They are served a few events each in turn, so that all meet the machine as it happens to be.
    """
    told = stream(model.items, "anna", WARM + events)
    spent: dict[str, list[float]] = {name: [] for name in flags}
    served, broken = dict[str, Recommender](), dict[str, str]()
    for start in range(0, len(told), TURN):
        for name in [name for name in flags if name not in broken]:
            try:
                if name not in served:
                    served[name] = Recommender(model, **FLAGS[name])
                spent[name] += timed(served[name], told[start : start + TURN])
            except Exception as error:
                broken[name] = " ".join(str(error).split())[:120]
    return {name: np.array(part[WARM:]) for name, part in spent.items()}, broken


def lost(policy: InterestAttentionPolicy, name: str, users: int, work: Path) -> dict[str, float]:
    """Normalised score under some flags, and what of it was lost to fp32."""
    policy.set_training_mode(False)

    def of(flags: str) -> np.ndarray:
        made = Lighter(policy, **FLAGS[flags])
        return scored(made, users, work / f"{flags.replace(' %', '')}-{users}.npy")

    zero, one = (scored(end, users, work.parent / f"{end}-{users}.npy").mean() for end in ENDS)
    found, full = of(name), of("fp32")
    gone = (full - found) / (one - zero)
    half = 1.96 * gone.std(ddof=1) / len(gone) ** 0.5
    values = {"score": (found.mean() - zero) / (one - zero), "lost": gone.mean(), "+-": half}
    return {key: round(float(value), 3) for key, value in values.items()}


def row(
    learner: Any,
    model: ServedModel,
    best: np.ndarray,
    name: str,
    spent: np.ndarray,
    users: int,
    work: Path,
) -> dict[str, Any]:
    """One row of a user model, whose ten in fp32 are ``best``; ``users`` 0: without a score."""
    recommender = Recommender(model, **FLAGS[name])
    size, zipped = sizes(recommender.reader.network)
    low, high = np.percentile(spent, (50, 99))
    found = {"size": size, "zipped": zipped, "p50": low, "p99": high}
    ten = ranked(recommender, model)
    same = [len(np.intersect1d(a, b)) / 10 for a, b in zip(ten, best, strict=True)]
    found["overlap"] = float(np.mean(same))
    found = {name: round(float(value), 3) for name, value in found.items()}
    if users and "compiled" not in FLAGS[name]:
        found |= lost(learner.policy, name, users, work)
    return found


def main() -> None:
    """Train, measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backbone", default="", help="a language model; none: the small one")
    parser.add_argument("--steps", type=int, default=25_600, help="user-steps of training")
    parser.add_argument("--events", type=int, default=400, help="that are timed")
    parser.add_argument("--users", type=int, default=100, help="test users; 0: no score")
    parser.add_argument("--flags", nargs="+", default=list(FLAGS), choices=FLAGS, help="rows")
    parser.add_argument("--work", type=Path, default=Path("runs/lighter"), help="trained models")
    parser.add_argument("--out", type=Path, help="JSON file, to which rows are added")
    given = parser.parse_args()
    torch.set_num_threads(1)
    name, users = given.backbone or "small", given.users if given.steps else 0
    learner = trained(given.backbone, given.steps, given.work)
    policy, world = learner.policy, learner.env.get_attr("simulator")[0].world
    model = ServedModel.of(policy.network, policy.slots, world.catalog, world.request_text)
    spent, broken = in_turn(model, given.flags, given.events)
    best = ranked(Recommender(model), model)
    for flags in given.flags:
        if flags in broken:
            found: dict[str, Any] = {"does not run here": broken[flags]}
        else:
            work = given.work / f"{name}-{given.steps}"
            found = row(learner, model, best, flags, spent[flags], users, work)
        print(f"{flags:18s} {found}", flush=True)
        if given.out:
            report: dict[str, Any] = {"env": ENV, "versions": versions(), "models": {}}
            if given.out.exists():
                report = json.loads(given.out.read_text(encoding="utf-8"))
            about = {"steps": given.steps, "events": given.events, "users": users}
            kept = report["models"].setdefault(name, {"rows": {}})
            kept |= about | {"commit": git_commit()}
            kept["rows"][flags] = found
            write_json(given.out, report)


if __name__ == "__main__":
    main()
