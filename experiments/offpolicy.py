"""What a policy would have earned, from a log of another one with its propensities.

By the estimators of the Open Bandit Pipeline (Saito, Aihara, Matsutani & Narita, 2021), the extra
``ope``; the log is read here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .errors import UserError
from .statistics import Interval

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
ESTIMATORS = ("ips", "snips", "dr")
_NEEDED = ("timestamp", "item_id", "position", "click", "propensity_score")


@dataclass(frozen=True)
class BanditLog:
    """R slots that were shown, in order of time.

    Attributes:
        action: [R] item.
        position: [R] slot, 0 the first of K.
        reward: [R].
        pscore: [R] probability that the item was shown there.
        context: [R, F] of the request.
        affinity: [R, A] what is known of the request's user and each item; may have no column.
        items: [A, G] features of the items.
    """

    action: Ints
    position: Ints
    reward: Floats
    pscore: Floats
    context: Floats
    affinity: Floats
    items: Floats

    def __post_init__(self) -> None:
        rows = len(self.action)
        for name in ("position", "reward", "pscore", "context", "affinity"):
            if len(getattr(self, name)) != rows:
                raise ValueError(
                    f"{name} must have one row per action ({rows}), got {len(getattr(self, name))}"
                )
        if not ((self.pscore > 0) & (self.pscore <= 1)).all():
            raise ValueError("pscore must be in (0, 1] in every row")

    @property
    def slots(self) -> int:
        """K."""
        return int(self.position.max()) + 1


def read_open_bandit(folder: Path, behaviour: str, campaign: str) -> BanditLog:
    """The log of one policy and campaign of the Open Bandit data.

    Args:
        folder: of ``driftrec data open-bandit-sample``.
        behaviour: the policy that was at work, ``random`` or ``bts``.
        campaign: ``all``, ``men`` or ``women``.

    Raises:
        UserError: where the folder does not hold it, or a column is missing.
    """
    import pandas as pd

    place = folder / behaviour / campaign
    files = place / f"{campaign}.csv", place / "item_context.csv"
    for file in files:
        if not file.is_file():
            raise UserError(f"folder must hold {file.relative_to(folder)}, got {folder} without it")
    rows, items = (pd.read_csv(file, index_col=0) for file in files)
    for name in _NEEDED:
        if name not in rows:
            raise UserError(f"{files[0]}: expected a column {name!r}, got {', '.join(rows)}")
    rows = rows.sort_values("timestamp", kind="stable")
    user = [name for name in rows if name.startswith("user_feature_")]
    near = [name for name in rows if name.startswith("user-item_affinity_")]
    items = items.sort_values("item_id")
    kinds = pd.get_dummies(items.drop(columns=["item_id", "item_feature_0"])).to_numpy(float)
    number = items["item_feature_0"].to_numpy(float)
    return BanditLog(
        action=rows["item_id"].to_numpy(np.int64),
        position=rows["position"].rank(method="dense").to_numpy(np.int64) - 1,
        reward=rows["click"].to_numpy(float),
        pscore=rows["propensity_score"].to_numpy(float),
        context=pd.get_dummies(rows[user]).to_numpy(float),
        affinity=rows[near].to_numpy(float),
        items=np.column_stack(((number - number.mean()) / number.std(), kinds)),
    )


@dataclass(frozen=True)
class Values:
    """Estimated mean reward of a slot under P policies.

    Attributes:
        names: of the policies.
        estimate: by estimator, [P].
        draws: by estimator, [R, P] bootstrap samples, the same of the log for all policies.
    """

    names: tuple[str, ...]
    estimate: Mapping[str, Floats]
    draws: Mapping[str, Floats]

    def interval(self, estimator: str, name: str) -> Interval:
        """95 % interval of one policy's value."""
        column = self.names.index(name)
        low, high = np.quantile(self.draws[estimator][:, column], [0.025, 0.975])
        return Interval(float(self.estimate[estimator][column]), float(low), float(high))


def evaluate_policies(
    log: BanditLog,
    policies: Mapping[str, Floats],
    *,
    blocks: int = 200,
    resamples: int = 2000,
    seed: int = 0,
) -> Values:
    """Values of policies by inverse propensities, the same self-normalised, and doubly robust.

    The reward model of the latter is a logistic regression on the features of request and item,
    cross-fitted on two halves of the log. Intervals are from a bootstrap of blocks of rows that
    are neighbours in time, so that slots of one page stay together.

    Args:
        log: of the policy that was at work.
        policies: by name, [A, K] probability of each item in each slot.
        blocks: that are resampled.
        resamples: bootstrap samples.
        seed: of both.

    Raises:
        UserError: where the library is missing.
        ValueError: where a policy is no distribution over the log's items in each slot.
    """
    shape = (len(log.items), log.slots)
    for name, policy in policies.items():
        if policy.shape != shape or (policy < 0).any() or not np.allclose(policy.sum(0), 1):
            raise ValueError(
                f"policies must be distributions over items of shape {shape}, "
                f"got {name} of shape {policy.shape}, sums {policy.sum(0).round(3)}"
            )
    pieces = np.array_split(np.arange(len(log.action)), min(blocks, len(log.action)))
    size = np.array([len(piece) for piece in pieces], float)
    weight = np.random.default_rng([seed, 12]).multinomial(
        len(pieces), np.full(len(pieces), 1 / len(pieces)), resamples
    )
    believed = _reward_model(log, seed)
    estimate: dict[str, list[float]] = {name: [] for name in ESTIMATORS}
    draws: dict[str, list[Floats]] = {name: [] for name in ESTIMATORS}
    for policy in policies.values():
        whole = _estimates(log, policy, believed, np.arange(len(log.action)))
        parts = [_estimates(log, policy, believed, piece) for piece in pieces]
        mean = {k: weight @ (size * [part[k] for part in parts]) for k in ("ips", "dr", "mass")}
        total = weight @ size
        for name in ESTIMATORS:
            estimate[name].append(whole[name])
        draws["ips"].append(mean["ips"] / total)
        draws["dr"].append(mean["dr"] / total)
        draws["snips"].append(mean["ips"] / np.maximum(mean["mass"], 1e-12))
    return Values(
        tuple(policies),
        {name: np.array(values) for name, values in estimate.items()},
        {name: np.stack(values, 1) for name, values in draws.items()},
    )


def _estimates(log: BanditLog, policy: Floats, believed: Floats, rows: Ints) -> dict[str, float]:
    """The three estimates on some rows, and the mean importance weight (``mass``)."""
    ope = _obp()
    given = {
        "action": log.action[rows],
        "position": log.position[rows],
        "pscore": log.pscore[rows],
        "action_dist": np.broadcast_to(policy, (len(rows), *policy.shape)),
    }
    reward = log.reward[rows]
    weigh = ope.InverseProbabilityWeighting()
    found = {
        "ips": weigh.estimate_policy_value(reward=reward, **given),
        "mass": weigh.estimate_policy_value(reward=np.ones(len(rows)), **given),
        "dr": ope.DoublyRobust().estimate_policy_value(
            reward=reward, estimated_rewards_by_reg_model=believed[rows], **given
        ),
    }
    if found["mass"] > 0:
        snips = ope.SelfNormalizedInverseProbabilityWeighting()
        found["snips"] = snips.estimate_policy_value(reward=reward, **given)
    return {name: float(value) for name, value in found.items()} | (
        {} if found["mass"] > 0 else {"snips": 0.0}
    )


def _reward_model(log: BanditLog, seed: int) -> Floats:
    """[R, A, K] expected reward of every item in every slot."""
    from sklearn.linear_model import LogisticRegression

    model = _obp().RegressionModel(
        n_actions=len(log.items),
        len_list=log.slots,
        base_model=LogisticRegression(C=0.1, max_iter=1000),
        action_context=log.items,
    )
    return np.asarray(
        model.fit_predict(
            context=log.context,
            action=log.action,
            reward=log.reward.astype(int),
            pscore=log.pscore,
            position=log.position,
            n_folds=2,
            random_state=seed,
        )
    )


def _obp() -> Any:
    try:
        import obp.ope
    except ImportError:
        raise UserError(
            "off-policy evaluation needs the library obp: pip install 'driftrec[ope]'"
        ) from None
    return obp.ope


def kendall(values: Floats, simulated: Floats) -> Floats:
    """[R] Kendall's tau between each ranking of P policies in ``values`` [R, P] and another [P].

    Pairs in order less pairs out of order, as a share of all pairs; ties count neither way.
    """
    first, second = np.triu_indices(len(simulated), 1)
    order = np.sign(simulated[first] - simulated[second])
    return np.asarray((np.sign(values[:, first] - values[:, second]) * order).mean(1))


def decided(draws: Floats) -> int:
    """Pairs of policies [R, P] whose difference has a 95 % interval without 0."""
    first, second = np.triu_indices(draws.shape[1], 1)
    low, high = np.quantile(draws[:, first] - draws[:, second], [0.025, 0.975], axis=0)
    return int(((low > 0) | (high < 0)).sum())


def rows_to_decide(draws: Floats, simulated: Floats, rows: int) -> int:
    """Rows of a log that would decide half of the pairs, were they as far apart as in a simulator.

    Args:
        draws: [R, P] bootstrap samples of the policies' values.
        simulated: [P] values in a simulator.
        rows: that the samples come from; standard errors fall with their square root.
    """
    first, second = np.triu_indices(len(simulated), 1)
    error = (draws[:, first] - draws[:, second]).std(0)
    gap = np.maximum(np.abs(simulated[first] - simulated[second]), 1e-12)
    return int(np.ceil(rows * np.median((1.96 * error / gap) ** 2)))
