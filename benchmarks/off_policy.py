"""Do a simulator and a log rank policies alike? On the sample of the Open Bandit data.

    driftrec data open-bandit-sample --out data/obd
    python benchmarks/off_policy.py data/obd --out results/off_policy.json

Policies are learned, and a world is fitted, on the log of Bernoulli Thompson sampling; their
values come from the log of the random policy, by inverse propensities (IPS), the same
self-normalised (SNIPS) and doubly robust (DR), and from users of the world. Policies are the same
distributions over items on both sides. Kendall's tau between the two rankings has a 95 % interval
over the random log. Since Thompson sampling was at work too, its clicks tell how good the estimates
are.

The world: an item's appeal is a ridge logistic regression of clicks on its features, tastes are the
log's affinities of users and items, and nothing drifts, since the log has no ids of users. Needs
the extra ``ope``; a minute.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402

from driftrec.experiments.files import write_json  # noqa: E402
from driftrec.experiments.offpolicy import (  # noqa: E402
    ESTIMATORS,
    BanditLog,
    decided,
    evaluate_policies,
    kendall,
    read_open_bandit,
    rows_to_decide,
)
from driftrec.experiments.runs import versions  # noqa: E402
from driftrec.experiments.statistics import Interval  # noqa: E402
from driftrec.simulators import Simulator, build_world, load_domain  # noqa: E402
from driftrec.simulators.affinity import fit_affinity  # noqa: E402
from driftrec.simulators.records import Item, build_catalog  # noqa: E402

CAMPAIGNS = ("all", "men", "women")
TOP, EXPLORE = 10, 0.1  # items that a greedy policy shows, and the share of all others
PRIOR = 200.0  # impressions of the mean item that are added to each item's own
USERS = 4000


def greedy(score: np.ndarray, slots: int) -> np.ndarray:
    """[A, K] the ten best items alike, and a tenth of the time any."""
    share = np.full(len(score), EXPLORE / len(score))
    share[np.argsort(-score, kind="stable")[:TOP]] += (1 - EXPLORE) / TOP
    return np.repeat(share[:, None], slots, 1)


def click_rate(log: BanditLog) -> np.ndarray:
    """[A] clicks per impression, drawn towards the mean."""
    shown, clicked = (np.bincount(log.action, w, len(log.items)) for w in (None, log.reward))
    return (clicked + PRIOR * log.reward.mean()) / (shown + PRIOR)


def upper_bound(log: BanditLog) -> np.ndarray:
    """[A] LinUCB on the items' features (Li et al., 2010), after all of the log."""
    shown = np.column_stack((np.ones(len(log.action)), log.items[log.action]))
    every = np.column_stack((np.ones(len(log.items)), log.items))
    inverse = np.linalg.inv(shown.T @ shown + np.eye(shown.shape[1]))
    width = np.sqrt(np.einsum("af,fg,ag->a", every, inverse, every))
    return every @ inverse @ (shown.T @ log.reward) + log.reward.std() * width


def policies(log: BanditLog, campaign: str) -> dict[str, np.ndarray]:
    """The policies that are ranked, [A, K] each, learned on ``log``."""
    from obp.policy import BernoulliTS

    items = len(log.items)
    thompson = BernoulliTS(
        n_actions=items,
        len_list=log.slots,
        is_zozotown_prior=True,
        campaign=campaign,
        random_state=0,
    )
    rate = click_rate(log)
    return {
        "uniform": np.full((items, log.slots), 1 / items),
        "bts": np.asarray(thompson.compute_batch_action_dist(n_sim=20_000)[0]),
        "most clicked": greedy(rate, log.slots),
        "linucb": greedy(upper_bound(log), log.slots),
        "least clicked": greedy(-rate, log.slots),
    }


def world_of(log: BanditLog, wanted: float, policy: np.ndarray) -> Simulator:
    """Users who click as those of the log did: ``wanted`` per slot, under ``policy``."""
    from sklearn.linear_model import LogisticRegression

    user, item = np.nonzero(log.affinity)
    sizes = (len(log.action), len(log.items))
    affinity = fit_affinity(user, item, log.affinity[user, item], *sizes, latent_size=16)
    taste = log.affinity @ affinity.items
    taste /= np.maximum(np.linalg.norm(taste, axis=1, keepdims=True), 1e-9)
    match = (taste * affinity.items[log.action]).sum(1)
    columns = np.column_stack((match, log.items[log.action], np.eye(log.slots)[log.position]))
    fitted = LogisticRegression(C=0.1, max_iter=2000).fit(columns, log.reward).coef_[0]
    quality = log.items @ fitted[1 : 1 + log.items.shape[1]]
    described = [
        Item(str(i), f"item {i}", "", (("fashion", 1.0),), 1.0, float(q))
        for i, q in enumerate(quality)
    ]
    catalog = build_catalog("open-bandit", described, None, 16, 1)
    catalog = replace(catalog, affinity=affinity)
    domain = replace(load_domain("plain"), affinity=max(float(fitted[0]), 0.0), drift=())
    low, high = -5.0, 15.0
    for _ in range(25):
        outside = (low + high) / 2
        choice = replace(domain.choice, outside=outside, position=1.0)  # type: ignore[type-var]
        world = build_world(catalog, domain.population, None, (), 0)
        simulator = Simulator(replace(domain, choice=choice), world, slate_size=3, history=1)
        low, high = (outside, high) if simulated(simulator, policy) > wanted else (low, outside)
    return simulator


def simulated(simulator: Simulator, policy: np.ndarray) -> float:
    """Expected clicks a slot of the world's users; no item is shown twice in a slate."""
    rng = np.random.default_rng(5)
    users, _, _ = simulator.start(np.arange(USERS), np.zeros(USERS, np.int64))
    slates, gone = np.zeros((USERS, policy.shape[1]), np.int64), np.zeros((USERS, len(policy)))
    with np.errstate(divide="ignore"):
        for slot in range(policy.shape[1]):
            score = np.log(policy[:, slot]) + rng.gumbel(size=gone.shape) + gone
            slates[:, slot] = score.argmax(1)
            gone[np.arange(USERS), slates[:, slot]] = -np.inf
    expected = simulator.expected_reward(users, slates.astype(np.int32))
    return float(expected.mean()) / policy.shape[1]


def campaign_row(folder: Path, campaign: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """One campaign's values and rankings, and tau [1 + R] of each estimator."""
    learned, log = (read_open_bandit(folder, name, campaign) for name in ("bts", "random"))
    known = policies(learned, campaign)
    values = evaluate_policies(log, known)
    world = world_of(learned, learned.reward.mean(), known["bts"])
    there = np.array([simulated(world, policy) for policy in known.values()])
    tau = {k: kendall(np.vstack((values.estimate[k], values.draws[k])), there) for k in ESTIMATORS}
    half = 1.96 * learned.reward.std() / len(learned.reward) ** 0.5
    mean = float(learned.reward.mean())
    return {
        "items": len(log.items),
        "rows": len(log.action),
        "clicks": int(log.reward.sum()),
        "bts on its own log": asdict(Interval(mean, mean - half, mean + half)),
        "policies": {
            name: {"simulated": float(there[k])}
            | {e: asdict(values.interval(e, name)) for e in ESTIMATORS}
            for k, name in enumerate(known)
        },
        "pairs": len(known) * (len(known) - 1) // 2,
        "pairs decided": {e: decided(values.draws[e]) for e in ESTIMATORS},
        "rows to decide half": {
            e: rows_to_decide(values.draws[e], there, len(log.action)) for e in ESTIMATORS
        },
        "kendall": {e: asdict(interval(tau[e])) for e in ESTIMATORS},
    }, tau


def interval(tau: np.ndarray) -> Interval:
    """The first value, with the 95 % interval of the others."""
    low, high = np.quantile(tau[1:], [0.025, 0.975])
    return Interval(float(tau[0]), float(low), float(high))


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of `driftrec data open-bandit-sample`")
    parser.add_argument("--out", type=Path, help="JSON file")
    args = parser.parse_args()
    found = {campaign: campaign_row(args.folder, campaign) for campaign in CAMPAIGNS}
    for campaign, (row, _) in found.items():
        for name, cells in row["policies"].items():
            estimates = "  ".join(f"{e} {Interval(**cells[e])}" for e in ESTIMATORS)
            print(f"{campaign:6s} {name:14s} simulated {cells['simulated']:.4f}  {estimates}")
        print(campaign, "pairs decided", row["pairs decided"], "of", row["pairs"], end="; ")
        print("rows that would decide half of them", row["rows to decide half"])
    mean = {e: interval(np.mean([tau[e] for _, tau in found.values()], 0)) for e in ESTIMATORS}
    for name, tau in mean.items():
        print(f"Kendall's tau, simulator and {name}, mean of campaigns: {tau}")
    if args.out:
        campaigns = {campaign: row for campaign, (row, _) in found.items()}
        means = {name: asdict(tau) for name, tau in mean.items()}
        write_json(
            args.out, {"versions": versions(), "campaigns": campaigns, "mean kendall": means}
        )


if __name__ == "__main__":
    main()
