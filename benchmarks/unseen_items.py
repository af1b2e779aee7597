"""A catalogue that the policy never met: trained on one half of the items, shown on the other.

    python benchmarks/unseen_items.py --out results/unseen_items.json

The catalogue of ``driftrec/Video-v0`` is split at random within each topic; both halves lie in the
same world, with the same topics and the same population of users. A policy is trained on one half,
then serves the same 500 test users twice: with the items that it knows, and with the others, of
which no log exists: their vectors come from their texts alone, their average is that of all. Even
and odd seeds train on the two halves of one split, so that a half that is easier cancels out.

A policy is trained as the presets train the flagship: its interest is fitted on the log of the half
that it knows and practises on answers, PPO comes after; nobody's true utilities are seen.

Seven policies. ``fused`` knows items by a projection of their texts and topics onto the vectors
that the log gives to the half it knows (``--text minilm --option fused=True``), ``text-alone`` by
what MiniLM makes of their texts (32 dimensions), and both by nothing else: no vector of an item's
own (``--option per_item=False``), no average from the log. Then what they know of the others is
what they know of their own. ``fused-log`` and ``text-log`` (64 dimensions) have averages from the
log too: how much an item is liked by all no text tells, and new ones count as the average one.
``text`` learns a vector of each item's own as well, as networks do unless told; ``id`` is that with
a random vector in place of the text. ``log`` is the default, with the log's own vectors; new items
come to it by the projection of ``fused``. What is learned of single items does not come along: new
ones have rows that no one trained. The reference rows need no training; they do see the log of both
halves, those of the first split.

Score: mean of return / horizon over seeds and users, with its 95 % bootstrap interval. Needs
`make models`; every run that is done is kept in --work, three minutes each, so that several
processes may do some seeds each before the table is made.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import torch  # noqa: E402

from driftrec.agents.language import (  # noqa: E402
    TextEncoder,
    catalog_texts,
    fused_features,
    load_backbone,
)
from driftrec.agents.language.pinned import cache_folder  # noqa: E402
from driftrec.agents.learners import make_learner  # noqa: E402
from driftrec.agents.platform import Platform  # noqa: E402
from driftrec.agents.policy import ItemTable  # noqa: E402
from driftrec.agents.transfer import transfer  # noqa: E402
from driftrec.envs.sb3 import BatchVecEnv  # noqa: E402
from driftrec.experiments.evaluate import evaluate  # noqa: E402
from driftrec.experiments.files import write_text  # noqa: E402
from driftrec.experiments.presets import PRETRAINED  # noqa: E402
from driftrec.experiments.runs import git_commit, versions  # noqa: E402
from driftrec.experiments.seeds import test_users, train_users  # noqa: E402
from driftrec.experiments.statistics import bootstrap, bootstrap_difference, mean  # noqa: E402
from driftrec.experiments.worlds import make_batch  # noqa: E402
from driftrec.simulators import Catalog, unit  # noqa: E402
from driftrec.simulators.readers import load_catalog  # noqa: E402

ENV = "driftrec/Video-v0"
POLICIES = ("fused", "fused-log", "text-alone", "text-log", "text", "log", "id")
REFERENCES = ("random", "static-interest", "discounted-linucb", "oracle")
WIDTH = {"text-alone": 32}  # of the items' vectors; of others 64
NEEDED = 0.85  # of the reward on the seen half
PRACTICE = 256_000  # user-steps


def write_half(catalog: Catalog, rows: np.ndarray, folder: Path) -> None:
    """Writes some items as a catalogue of one's own, topics in the order of their shares."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "items.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["item_id", "title", "description", "topics", "value", "quality"])
        for j in rows:
            order = [c for c in np.argsort(-catalog.topics[j]) if catalog.topics[j, c] > 0]
            names = "|".join(catalog.topic_names[c] for c in order)
            own = (catalog.ids[j], catalog.title[j], catalog.description[j], names)
            writer.writerow([*own, catalog.value[j], catalog.quality[j]])


def halves(split: int, work: Path) -> tuple[str, str]:
    """The two halves of the catalogue, as files; every topic is halved."""
    catalog, rng = load_catalog(), np.random.default_rng(split)
    order = rng.permutation(len(catalog))
    order = order[np.argsort(catalog.main_topic[order], kind="stable")]
    folders = (work / f"split-{split}-a", work / f"split-{split}-b")
    for side, folder in enumerate(folders):
        write_half(catalog, rng.permutation(order[side::2]), folder)
    return str(folders[0].resolve()), str(folders[1].resolve())


def tables(policy: str, seen: Platform, new: Platform, seed: int) -> tuple[ItemTable, ItemTable]:
    """What is known of the items of the half that is trained on, and of the other."""
    log = seen.log
    average = np.full(new.num_items, log.bias.mean(), np.float32)
    alone = policy in ("fused", "text-alone")
    known_average = average[:1].repeat(seen.num_items) if alone else log.bias
    width = WIDTH.get(policy, 64)
    if policy in ("fused", "fused-log", "log"):
        project = fused_features(seen.catalog, log.features)
        own = log.features if policy == "log" else project(seen.catalog)
        vectors = [own, project(new.catalog)]
    elif policy != "id":
        encoder = TextEncoder(load_backbone("minilm"), cache=cache_folder() / "texts")
        known, other = (encoder(catalog_texts(p.catalog)) for p in (seen, new))
        centre = known.mean(0)
        basis = np.linalg.svd(known - centre, full_matrices=False)[2][:width]
        vectors = [unit(np.ascontiguousarray((v - centre) @ basis.T)) for v in (known, other)]
    else:
        rng = np.random.default_rng(seed)
        drawn = rng.standard_normal((seen.num_items + new.num_items, width), np.float32)
        vectors = list(np.split(unit(drawn), [seen.num_items]))
    return ItemTable(vectors[0], known_average, seen.worth), ItemTable(
        vectors[1], average, new.worth
    )


def run(policy: str, seed: int, steps: int, users: int, work: Path) -> None:
    """Trains on one half, serves both, and keeps the scores [2, U] of the users."""
    file = work / f"{policy}-{seed}.npz"
    if file.exists():
        return
    torch.set_num_threads(1)
    sides = halves(seed // 2, work)
    seen, new = (sides[(seed + k) % 2] for k in (0, 1))
    envs = [BatchVecEnv(make_batch(ENV, 128, {"catalog": side})) for side in (seen, new)]
    items = tables(policy, *(Platform.of(env) for env in envs), seed)
    learner, other = (
        make_learner(
            "interest-attention",
            "ppo",
            env,
            seed=seed,
            items=table,
            per_item=policy in ("text", "log", "id"),
            **{**PRETRAINED, "practice_steps": PRACTICE},
        )
        for env, table in zip(envs, items, strict=True)
    )
    envs[0].seed(train_users(seed))
    learner.learn(steps)
    transfer(learner.policy.network, other.policy.network)
    scores = [
        evaluate(agent, ENV, users, test_users(), {"catalog": side}).score
        for agent, side in ((learner, seen), (other, new))
    ]
    np.savez(work / f".{policy}-{seed}.npz", scores=np.stack(scores))
    (work / f".{policy}-{seed}.npz").rename(file)
    print(
        f"{policy} {seed}: seen {scores[0].mean():.3f}, unseen {scores[1].mean():.3f}", flush=True
    )


def refer(agent: str, split: int, users: int, work: Path) -> None:
    """Keeps the scores [2, U] of an agent that needs no training."""
    file = work / f"{agent}-{split}.npz"
    if not file.exists():
        scores = [
            evaluate(agent, ENV, users, test_users(), {"catalog": side}).score
            for side in halves(split, work)
        ]
        np.savez(file, scores=np.stack(scores))


def ratio(seen: np.ndarray, new: np.ndarray, resamples: int = 2000) -> dict[str, float]:
    """Mean reward on the unseen half over that on the seen one; users and seeds are resampled."""
    rng, drawn = np.random.default_rng(0), []
    for _ in range(resamples):
        rows = rng.integers(len(seen), size=len(seen))[:, None]
        columns = rng.integers(seen.shape[1], size=seen.shape[1])
        drawn.append(new[rows, columns].mean() / seen[rows, columns].mean())
    low, high = np.quantile(drawn, (0.025, 0.975))
    return _plain(new.mean() / seen.mean(), low, high)


def _plain(estimate: float, low: float, high: float) -> dict[str, float]:
    return {
        name: round(float(value), 4)
        for name, value in (("estimate", estimate), ("low", low), ("high", high))
    }


def summary(work: Path, seeds: list[int], users: int, steps: int) -> dict[str, Any]:
    """The table, from what was kept."""
    rows: dict[str, Any] = {}
    for policy in POLICIES:
        done = [seed for seed in seeds if (work / f"{policy}-{seed}.npz").exists()]
        if not done:
            continue
        scores = np.stack([np.load(work / f"{policy}-{seed}.npz")["scores"] for seed in done], 1)
        seen, new = scores
        levels = [bootstrap(side, mean) for side in (seen, new)]
        more = bootstrap_difference(new, NEEDED * seen, mean)
        rows[policy] = {
            "seen": _plain(levels[0].estimate, levels[0].low, levels[0].high),
            "unseen": _plain(levels[1].estimate, levels[1].low, levels[1].high),
            "ratio": ratio(seen, new),
            f"unseen less {NEEDED} of seen": _plain(more.estimate, more.low, more.high),
            "by seed": {s: np.round(scores[:, k].mean(1), 4).tolist() for k, s in enumerate(done)},
        }
    for agent in REFERENCES:
        both = np.load(work / f"{agent}-{min(seeds) // 2}.npz")["scores"]
        level = bootstrap(both, mean)
        rows[agent] = {"both halves": _plain(level.estimate, level.low, level.high)}
    about = {"env": ENV, "steps": steps, "users": users, "seeds": seeds}
    return {**about, "scores": rows, "versions": versions(), "git_commit": git_commit()}


def main() -> None:
    """Trains what is missing, prints the table and writes it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--policies", nargs="+", default=list(POLICIES), choices=POLICIES)
    parser.add_argument("--steps", type=int, default=38_400, help="of training after practice")
    parser.add_argument("--users", type=int, default=500, help="test users")
    parser.add_argument("--work", type=Path, default=Path("runs/unseen"), help="what is kept")
    parser.add_argument("--out", type=Path, help="JSON file; without it only runs are made")
    given = parser.parse_args()
    given.work /= f"{given.steps}-{given.users}"  # what is kept says nothing of other settings
    given.work.mkdir(parents=True, exist_ok=True)
    for seed in given.seeds:
        for policy in given.policies:
            run(policy, seed, given.steps, given.users, given.work)
    if not given.out:
        return
    for agent in REFERENCES:
        refer(agent, min(given.seeds) // 2, given.users, given.work)
    report = summary(given.work, given.seeds, given.users, given.steps)
    for name, row in report["scores"].items():
        levels = "  ".join(
            f"{key} {v['estimate']:.3f} [{v['low']:.3f}, {v['high']:.3f}]"
            for key, v in row.items()
            if "estimate" in v
        )
        print(f"{name:18s} {levels}")
    write_text(given.out, json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
