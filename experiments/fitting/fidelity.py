"""Simulated users beside real ones who were held out: how far apart, and where."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..statistics import Interval
from .estimate import interval, resampled
from .interest import LAGS, PAUSE, fit_interest, interest_sums
from .reading import EventLog

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
FEATURES = (
    "topic entropy",
    "repeat rate",
    "same topic next",
    "popularity of items",
    "visit length",
    "likeness, near windows",
    "likeness, far windows",
)
_POINTS = 50  # of the popularity curve
FOLDS = 5  # of the classifier, so at least as many users on either side


@dataclass(frozen=True)
class Distance:
    """How far the simulated users are from real ones in one respect.

    Attributes:
        name: in what.
        real: mean over real users.
        simulated: mean over simulated users.
        distance: Wasserstein distance of the users' distributions, in standard deviations of the
            real users; for a curve the largest gap.
        null: 97.5 % quantile of the same between two halves of the real users.
        shuffled: the same between real users and real users with their events in random order.
    """

    name: str
    real: float
    simulated: float
    distance: Interval
    null: float
    shuffled: float

    @property
    def off(self) -> bool:
        """Whether the simulation is further away than real users are from one another."""
        return self.distance.estimate > self.null and self.distance.low > 0


@dataclass(frozen=True)
class Fidelity:
    """A comparison of simulated with held-out real users.

    Attributes:
        users: real users held out, and simulated ones.
        distances: one of each feature, and of the curves of interest and popularity.
        curves: autocorrelation of interest at 8 lags: real, simulated, shuffled.
        popularity: share of events that the commonest items get, at 50 ranks; likewise.
        features: values [U, 7] of real and of simulated users.
        auc: area under the ROC of a classifier of simulated and real users; 0.5: it cannot.
        auc_null: 97.5 % quantile of the same where labels are permuted.
    """

    users: tuple[int, int]
    distances: tuple[Distance, ...]
    curves: dict[str, Floats]
    popularity: dict[str, Floats]
    features: dict[str, Floats]
    auc: Interval
    auc_null: float


def last_events(log: EventLog, window: int) -> EventLog:
    """Of users with nine windows of events or more, the last nine windows."""
    size = (LAGS + 1) * window
    length = np.diff(log.first)
    kept = (length[log.user] >= size) & (log.place >= (length - size)[log.user])
    number = np.cumsum(length >= size) - 1
    return EventLog(
        number[log.user[kept]],
        log.item[kept],
        log.time[kept],
        log.popularity,
        log.rows,
        log.share,
    )


def user_features(
    log: EventLog, vectors: Floats, topic: Ints, window: int, popularity: Ints
) -> Floats:
    """[U, 7] the ``FEATURES`` of users with nine windows of events each.

    ``popularity`` [N] is that of one log, for all who are compared.
    """
    size, users = (LAGS + 1) * window, log.num_users
    item = log.item.reshape(users, size)
    kind = topic[item]
    count = np.zeros((users, int(topic.max()) + 1))
    np.add.at(count, (np.arange(users)[:, None], kind), 1)
    share = count / size
    entropy = -(share * np.log(np.maximum(share, 1e-12))).sum(1)
    ordered = np.sort(item, axis=1)
    repeats = (ordered[:, 1:] == ordered[:, :-1]).mean(1)
    rank = np.log(np.maximum(popularity, 1) / max(popularity.sum(), 1))
    gaps = np.diff(log.time.reshape(users, size), axis=1) > PAUSE
    product = interest_sums(log, vectors, window).product
    columns = (
        entropy,
        repeats,
        (kind[:, 1:] == kind[:, :-1]).mean(1),
        rank[item].mean(1),
        np.log(size / (1 + gaps.sum(1))),
        product[:, 1],
        product[:, LAGS],
    )
    return np.stack(columns, axis=1)


def compare(
    real: EventLog,
    simulated: EventLog,
    vectors: Floats,
    topic: Ints,
    window: int,
    *,
    resamples: int = 200,
    seed: int = 0,
) -> Fidelity:
    """Compares users with nine windows of events, their last nine.

    Args:
        real: users of whom the fitted catalogue and tastes know nothing.
        simulated: users of the fitted world.
        vectors: [N, D] of the items.
        topic: [N] main topics.
        window: events in a window.
        resamples: bootstrap samples of both sides, and permutations.
        seed: of these.
    """
    rng = np.random.default_rng([seed, 6])
    logs = {"real": last_events(real, window), "simulated": last_events(simulated, window)}
    # As many on both sides: items look the less concentrated, the more users are counted.
    size = min(log.num_users for log in logs.values())
    logs = {n: log.only(np.arange(log.num_users) < size) for n, log in logs.items()}
    logs["shuffled"] = logs["real"].shuffled(seed)
    features = {
        n: user_features(log, vectors, topic, window, real.popularity) for n, log in logs.items()
    }
    sums = {n: interest_sums(log, vectors, window) for n, log in logs.items()}
    weight = {n: resampled(rng, len(f), resamples) for n, f in features.items()}
    curves = {n: fit_interest(sums[n], weight[n]).curve for n in logs}
    distances = [
        _feature_distance(name, [features[n][:, k] for n in logs], rng, resamples)
        for k, name in enumerate(FEATURES)
    ]
    halves = _half_weights(rng, len(features["real"]), resamples)
    null = [fit_interest(sums["real"], half).curve for half in halves]
    distances.append(
        _curve_distance(
            "interest over lags", curves["real"], curves["simulated"], null, curves["shuffled"]
        )
    )
    popular = {n: _popularity(logs[n]) for n in ("real", "simulated")}
    ranks = {n: (weight[n] @ popular[n]) for n in popular}
    lorenz = {n: _concentration(r) for n, r in ranks.items()}
    null = [_concentration(half @ popular["real"]) for half in halves]
    distances.append(
        _curve_distance("popularity", lorenz["real"], lorenz["simulated"], null, lorenz["real"])
    )
    auc, auc_null = _two_sample(features["real"], features["simulated"], rng)
    return Fidelity(
        (len(features["real"]), len(features["simulated"])),
        tuple(distances),
        {n: curve[0] for n, curve in curves.items()},
        {n: curve[0] for n, curve in lorenz.items()},
        features,
        auc,
        auc_null,
    )


def _feature_distance(
    name: str, sides: list[Floats], rng: np.random.Generator, size: int
) -> Distance:
    from scipy.stats import wasserstein_distance

    real, simulated, shuffled = sides
    # Of both where real users do not differ, as where nobody takes an item twice.
    scale = max(real.std(), np.concatenate([real, simulated]).std() / 2, 1e-9)

    def apart(one: Floats, other: Floats) -> float:
        return float(wasserstein_distance(one, other)) / scale

    drawn = [
        apart(rng.choice(real, len(real)), rng.choice(simulated, len(simulated)))
        for _ in range(size)
    ]
    halves = [np.array_split(rng.permutation(real), 2) for _ in range(size)]
    null = np.quantile([apart(*half) for half in halves], 0.975)
    found = np.array([apart(real, simulated), *drawn])
    means = float(real.mean()), float(simulated.mean())
    return Distance(name, *means, interval(found), float(null), apart(real, shuffled))


def _half_weights(rng: np.random.Generator, size: int, resamples: int) -> list[Floats]:
    """Two [R, U] weightings that count one half of the users each."""
    order = np.argsort(rng.random((resamples, size)), axis=1)
    return [(order < size // 2).astype(float), (order >= size // 2).astype(float)]


def _curve_distance(
    name: str, real: Floats, simulated: Floats, null: list[Floats], shuffled: Floats
) -> Distance:
    def gap(one: Floats, other: Floats) -> Floats:
        return np.abs(one - other).max(1)

    return Distance(
        name,
        float(real[0].mean()),
        float(simulated[0].mean()),
        interval(gap(real, simulated)),
        float(np.quantile(gap(*null), 0.975)),
        float(gap(real[:1], shuffled[:1])[0]),
    )


def _popularity(log: EventLog) -> Floats:
    """[U, N] events of each user and item."""
    count = np.zeros((log.num_users, len(log.popularity)))
    np.add.at(count, (log.user, log.item), 1)
    return count


def _concentration(count: Floats) -> Floats:
    """[R, 50] share of the events that the items up to a rank get; ranks evenly on a log scale."""
    ordered = -np.sort(-count, axis=1)
    share = np.cumsum(ordered, axis=1) / np.maximum(ordered.sum(1), 1e-9)[:, None]
    ranks = np.unique(np.geomspace(1, share.shape[1], _POINTS).astype(int)) - 1
    return np.asarray(share[:, ranks], np.float64)


def _two_sample(
    real: Floats, simulated: Floats, rng: np.random.Generator, permutations: int = 30
) -> tuple[Interval, float]:
    """A classifier two-sample test (Lopez-Paz & Oquab, 2017) on the users' features.

    Logistic regression on the features, their squares and products; every user is scored by a model
    that was fitted without it.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import PolynomialFeatures, StandardScaler

    size = min(len(real), len(simulated))
    data = np.concatenate([real[:size], simulated[:size]])
    label = np.repeat([0, 1], size)

    def held_out(label: Ints) -> Floats:
        squares = PolynomialFeatures(2, include_bias=False)
        model = make_pipeline(StandardScaler(), squares, LogisticRegression(C=0.1, max_iter=300))
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
        return cross_val_predict(model, data, label, cv=folds, method="predict_proba")[:, 1]

    score = held_out(label)
    drawn = [rng.integers(0, size, 2 * size) + label * size for _ in range(200)]
    aucs = [roc_auc_score(label, score), *(roc_auc_score(label[d], score[d]) for d in drawn)]
    null = []
    for _ in range(permutations):
        mixed = rng.permutation(label)
        null.append(roc_auc_score(mixed, held_out(mixed)))
    return interval(np.array(aucs)), float(np.quantile(null, 0.975))
