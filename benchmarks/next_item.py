"""Next-item prediction on real logs: does conditioning attention on the interest help there?

    driftrec convert movielens-100k --source data/movielens-100k --out data/ml-100k
    python benchmarks/next_item.py data/ml-100k data/ml-latest-small data/online-retail

Leave-last-out: of each user with five events or more the last item is to be foretold, from the 50
before it; the one before the last chooses the checkpoint and the rate of dropout. Ranked among all
items ("full"), and among those that the user has not had ("unseen"), which is another task where
nothing is taken twice and senseless where much is: the two are never to be compared. HR@10 and
NDCG@10 with 95 % bootstrap intervals over users and training seeds, and differences from the
interest-conditioned attention, paired by user.

The figures in results/next_item.json are of ``--seeds 2``: the same rate and 250 steps for all, far
from converged. Orders within a sitting of MovieLens and a basket of Online Retail mean little.

All models read the same: vectors of the items' texts and one learnt for each item, full softmax,
the same steps, rates of dropout and seeds. ``attention`` is the same network without the
conditioning; ``sasrec`` and ``gru`` have no interest at all. A run is kept in --work, so that the
figures can be made in parts; those of another configuration are not mixed in.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

from driftrec.agents.network import Network  # noqa: E402
from driftrec.agents.nextitem import (  # noqa: E402
    NEXT_ITEM,
    SequenceConfig,
    fit_next_item,
    make_next_item,
    next_item_scores,
)
from driftrec.experiments.files import write_json  # noqa: E402
from driftrec.experiments.fitting.items import read_items, text_vectors  # noqa: E402
from driftrec.experiments.fitting.nextitem import (  # noqa: E402
    LeaveLastOut,
    gains,
    hits,
    leave_last_out,
    rank_all,
)
from driftrec.experiments.fitting.reading import make_log, read_log  # noqa: E402
from driftrec.experiments.runs import versions  # noqa: E402
from driftrec.experiments.statistics import bootstrap, bootstrap_difference, mean  # noqa: E402

FEATURES, VALID = 64, 1000  # dimensions of texts; users who judge a checkpoint
OURS = "interest-attention"
REFERENCE = {
    "MovieLens-1M, full ranking, published": {
        "sasrec, one negative (asash/gSASRec-pytorch)": [0.2392, 0.1259],
        "gSASRec (the same)": [0.3003, 0.1726],
        "sasrec, sampled softmax (facebookresearch/generative-recommenders)": [0.2853, 0.1603],
        "gru4rec (quoted there from arXiv:2309.07602)": [0.2811, 0.1648],
        "hstu (the same repository)": [0.3097, 0.1720],
    },
    "MovieLens-100K, full ranking of 1,682 films, GPT-2 of two layers, 15 epochs": {
        "full": [0.119, 0.054],
        "unseen": [0.190, 0.098],
    },
}
"""HR@10 and NDCG@10 that others got: of other logs or longer training, for the order of size."""


def read(folder: Path, min_events: int) -> tuple[LeaveLastOut, np.ndarray]:
    """The log, cut, and the vectors [N, 64] of items with ``min_events`` events or more."""
    items = read_items(folder / "items.csv")
    log = read_log(folder / "log.parquet", items.ids)
    kept = np.flatnonzero(log.popularity >= min_events)
    number = np.full(len(items), -1)
    number[kept] = np.arange(len(kept))
    rows = number[log.item] >= 0
    log = make_log(
        log.user[rows], number[log.item[rows]], log.time[rows], log.popularity[kept], seed=0
    )
    return leave_last_out(log), text_vectors(items, FEATURES)[kept]


def train(
    cut: LeaveLastOut, features: np.ndarray, model: str, config: SequenceConfig, seed: int
) -> dict[str, np.ndarray]:
    """One run: what validation said, ranks of the test items, CPU seconds."""
    began = time.process_time()
    network = make_next_item(model, features, cut.popularity, seed)

    def score(net: Network, histories: list[np.ndarray]) -> np.ndarray:
        return next_item_scores(net, histories, config.length)

    def judge(net: Network) -> float:
        some = cut.train[:VALID], cut.valid[:VALID]  # users come in random order
        full, _ = rank_all(lambda part: score(net, part), *some)
        return float(gains(full).mean())

    said = fit_next_item(network, cut.train, config, judge, seed)
    full, unseen = rank_all(lambda part: score(network, part), cut.before_test, cut.test)
    used = time.process_time() - began
    return {
        "valid": np.array(said),
        "full": full,
        "unseen": unseen,
        "cpu_seconds": np.array(used),
    }


def kept_run(work: Path, about: dict[str, Any], make: Any) -> dict[str, np.ndarray]:
    """The run that ``about`` describes, made if it is not in ``work``."""
    name = "-".join(str(value) for value in about.values())
    file = work / f"{name}.npz"
    if not file.exists():
        work.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(file.with_suffix(".part.npz"), **make())
        os.replace(file.with_suffix(".part.npz"), file)
    with np.load(file) as arrays:
        found = dict(arrays)
    print(f"{name}: validation {found['valid'].max():.4f}, {float(found['cpu_seconds']):.0f} s")
    return found


def tuned(args: Any, name: str, cut: LeaveLastOut, features: np.ndarray, model: str) -> Any:
    """The runs [S] of the rate of dropout that does best on validation, by the first seed."""
    runs = {}

    def run(dropout: float, seed: int) -> dict[str, np.ndarray]:
        config = SequenceConfig(steps=args.steps, rate=args.rate, dropout=dropout)
        about = {"data": name, "least": args.min_events, "model": model, "seed": seed}
        about |= asdict(config)
        return kept_run(args.work, about, lambda: train(cut, features, model, config, seed))

    for dropout in args.dropout:
        runs[dropout] = run(dropout, 0)
    best = max(runs, key=lambda dropout: float(runs[dropout]["valid"].max()))
    return best, [runs[best], *(run(best, seed) for seed in range(1, args.seeds))]


def figures(ranks: np.ndarray, ours: np.ndarray | None) -> dict[str, Any]:
    """HR@10 and NDCG@10 of ranks [S, U], and what ours is above them."""
    found = {}
    for name, measure in (("HR@10", hits), ("NDCG@10", gains)):
        found[name] = asdict(bootstrap(measure(ranks), mean))
        if ours is not None:
            gap = bootstrap_difference(measure(ours), measure(ranks), mean)
            found[f"{name}, {OURS} above it by"] = asdict(gap)
    return found


def compare(args: Any, folder: Path) -> dict[str, Any]:
    """All models on one log."""
    name = folder.resolve().name
    cut, features = read(folder, args.min_events)
    many = len(cut.popularity)

    def popular(part: list[np.ndarray]) -> np.ndarray:
        return np.broadcast_to(cut.popularity.astype(float), (len(part), many))

    full, unseen = rank_all(popular, cut.before_test, cut.test)
    ranks = {"popularity": {"full": full[None], "unseen": unseen[None]}}
    about: dict[str, Any] = {"popularity": {}}
    for model in args.models:
        dropout, runs = tuned(args, name, cut, features, model)
        ranks[model] = {k: np.stack([run[k] for run in runs]) for k in ("full", "unseen")}
        about[model] = {
            "dropout": dropout,
            "seeds": len(runs),
            "cpu_seconds": round(float(np.mean([run["cpu_seconds"] for run in runs])), 1),
            "validation": [round(float(run["valid"].max()), 4) for run in runs],
        }
    rows = {}
    for model in ranks:
        ours = None if model == OURS or OURS not in ranks else ranks[OURS]
        rows[model] = about[model] | {
            k: figures(ranks[model][k], None if ours is None else ours[k])
            for k in ("full", "unseen")
        }
    again = [target in items for items, target in zip(cut.before_test, cut.test, strict=True)]
    return {
        "users": len(cut.test),
        "items": many,
        "events": int(cut.popularity.sum()) + 2 * len(cut.test),
        "min_events": args.min_events,
        "test item had before": round(float(np.mean(again)), 4),
        "training": asdict(replace(SequenceConfig(steps=args.steps, rate=args.rate), dropout=0.0))
        | {"dropout": args.dropout},
        "models": rows,
    }


def main() -> None:
    """Trains what is missing, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path, help="of `driftrec convert`")
    parser.add_argument("--models", nargs="*", default=list(NEXT_ITEM), choices=list(NEXT_ITEM))
    parser.add_argument("--steps", type=int, default=SequenceConfig.steps)
    parser.add_argument("--rate", type=float, default=SequenceConfig.rate)
    parser.add_argument("--dropout", type=float, nargs="+", default=[0.2, 0.5], help="tried")
    parser.add_argument("--seeds", type=int, default=1, help="runs of each model")
    parser.add_argument("--min-events", type=int, default=5, help="that an item needs")
    parser.add_argument("--work", type=Path, default=Path("runs/next_item"))
    parser.add_argument("--out", type=Path, help="JSON file, to which logs are added")
    args = parser.parse_args()
    for folder in args.folders:
        found = compare(args, folder)
        for model, row in found["models"].items():
            cells = (f"{k} {row[k]['HR@10']['estimate']:.4f} {row[k]['NDCG@10']['estimate']:.4f}"
                     for k in ("full", "unseen"))  # fmt: skip
            print(f"{folder.resolve().name:16s} {model:20s} HR@10 NDCG@10:", "; ".join(cells))
        if args.out:
            report: dict[str, Any] = {"versions": versions(), "reference": REFERENCE, "logs": {}}
            if args.out.exists():
                report = json.loads(args.out.read_text(encoding="utf-8"))
            report["logs"][folder.resolve().name] = found
            write_json(args.out, report)


if __name__ == "__main__":
    main()
