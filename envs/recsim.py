"""RecSim's interest evolution as a vector environment of this project's kind; ``recsim-no-tf``.

Kept out of ``driftrec.envs``, which needs nothing of others. RecSim: Ie et al. (2019), "RecSim: a
configurable simulation platform for recommender systems"; the setting is that of Ie et al. (2019),
"SlateQ: a tractable decomposition for reinforcement learning with recommendation sets". The users
are RecSim's own code, untouched: one video at most is watched from a slate, watching moves the
interest in its topic, and a good video gives back most of the time that it takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt
from recsim.environments import interest_evolution

from driftrec.simulators import Catalog

from .peer import Answer, Items, PeerSimulator, PeerVectorEnv, Slate, check_history

ENV_ID = "recsim/InterestEvolution-v0"
CANDIDATES, SLATE, TOPICS, MINUTES = 10, 3, 20, 4.0
# Topics are numbered by their quality: the order of the items must not tell it, nor decide ties.
ORDER = np.random.default_rng(0).permutation(TOPICS * SLATE)
TOPIC = ORDER // SLATE  # [N]
LONGEST = 400  # steps; 200 minutes at half a minute each, what the best videos and no video cost
_SAMPLE = 100  # users of the log, served random slates
_FIRST_SEED = 2**31  # theirs, far from the seeds of any training or evaluation


class RecSimVectorEnv(PeerVectorEnv):
    """B users of RecSim's interest evolution: 3 of 10 candidates, new ones at every request.

    All that can be seen of a candidate is its topic, so an item here is the first, second or third
    candidate of a topic; ``available`` says which the 10 candidates are. Feedback is the share of a
    video that was watched, the reward minutes watched; ``time`` tells how long the session has gone
    on. Users leave when their 200 minutes are used up. What RecSim shows beyond that, the user's
    true interests, agents do not get.

    RecSim draws choices from NumPy's global generator. Before each user's step it is seeded, by
    RecSim's own ``seed``, from a stream of the user, so that rows do not depend on each other.

    Args:
        env_id: "recsim/InterestEvolution-v0".
        num_envs: B.
        history: H, slates in an observation; those before the episode read -1.
        horizon: steps after which an episode is cut; a user of ``LONGEST`` has left by then.

    Raises:
        ValueError: for a history or horizon below 1.
    """

    def __init__(
        self, env_id: str = ENV_ID, num_envs: int = 1, history: int = 20, horizon: int = LONGEST
    ) -> None:
        check_history(history)
        if not isinstance(horizon, int) or horizon < 1:
            raise ValueError(f"horizon must be a whole number of at least 1, got {horizon!r}")
        self.rows: list[Any] = [None] * num_envs
        self._streams = [np.random.default_rng(0)] * num_envs
        self._places = np.full((num_envs, TOPICS * SLATE), -1, np.int64)  # of items in candidates
        self._step = np.zeros(num_envs, np.int64)
        super().__init__(_simulator(env_id, history, horizon), num_envs)

    def begin(self, row: int, seed: int) -> None:  # noqa: D102
        self.rows[row] = _make(seed)
        self._streams[row] = np.random.default_rng(seed)
        self._step[row] = 0
        self._places[row] = _places(self.rows[row].reset())

    def show(self, row: int, slate: Slate) -> Answer:  # noqa: D102
        places = self._places[row, slate]
        shown = sorted({p: k for k, p in reversed(list(enumerate(places))) if p >= 0}.values())
        env = self.rows[row]
        env.seed(int(self._streams[row].integers(2**32)))
        seen, minutes, left, _ = env.step(places[shown])
        feedback = np.zeros(SLATE, np.float32)
        feedback[shown] = [answer["watch_time"] / MINUTES for answer in seen["response"]]
        self._places[row] = _places(seen)
        self._step[row] += 1
        cut = not left and self._step[row] >= self.horizon
        return Answer(feedback, float(minutes), left, cut)

    def available(self, row: int) -> npt.NDArray[np.int8]:  # noqa: D102
        return (self._places[row] >= 0).astype(np.int8)

    def time(self) -> npt.NDArray[np.float32]:
        """[B, 4] sine and cosine of the requests since the session began, by 400 and 100."""
        turn = 2 * np.pi * self._step[:, None] / np.array([LONGEST, LONGEST / 4])
        return np.stack((np.sin(turn), np.cos(turn)), 2).reshape(-1, 4).astype(np.float32)

    def interests(self) -> npt.NDArray[np.float64]:
        """[B, 20] true interests, which RecSim shows to its own agents."""
        return np.stack([env.environment.user_model.create_observation() for env in self.rows])


def _make(seed: int) -> Any:
    return interest_evolution.create_environment(
        {
            "num_candidates": CANDIDATES,
            "slate_size": SLATE,
            "resample_documents": True,
            "seed": seed % 2**32,
        }
    )


def _places(seen: Mapping[str, Any]) -> npt.NDArray[np.int64]:
    """[N] which candidate each item is now, -1 for none."""
    places, count = np.full(TOPICS * SLATE, -1, np.int64), [0] * TOPICS  # the c-th of topic t
    for place, features in enumerate(seen["doc"].values()):
        topic = int(features.argmax())
        if count[topic] < SLATE:
            places[topic * SLATE + count[topic]] = place
            count[topic] += 1
    return places[ORDER]


def _simulator(env_id: str, history: int, horizon: int) -> PeerSimulator:
    """The items, each wholly of one topic, and what a platform would know of them."""
    names = [f"topic {t}, candidate {c}" for t in range(TOPICS) for c in range(SLATE)]
    catalog = Catalog(
        name=env_id,
        ids=tuple(str(i) for i in ORDER),
        title=tuple(names[i] for i in ORDER),
        description=("",) * len(ORDER),
        topics=np.eye(TOPICS, dtype=np.float32)[TOPIC],
        topic_names=tuple(f"topic {t}" for t in range(TOPICS)),
        value=np.full(len(ORDER), MINUTES, np.float32),
        quality=np.zeros(len(ORDER), np.float32),  # RecSim's own, which is not to be seen
    )
    log = partial(_log, catalog)
    return PeerSimulator(
        env_id, Items(catalog), SLATE, history, horizon, catalog.value, log, items_churn=True
    )


def _log(catalog: Catalog) -> Mapping[str, Any]:
    """The fields of ``driftrec.agents.features.PublicLog``, from a few random slates."""
    feedback = _random_feedback()  # [S, K]
    bias = np.full(len(catalog), feedback.mean(), np.float32)
    return {
        "features": catalog.topics,
        "bias": bias,
        "reward": bias * MINUTES,
        "position": (feedback.mean(0) / feedback.mean()).astype(np.float32),
        "noise": float(feedback.std()),
    }


@cache
def _random_feedback() -> npt.NDArray[np.float32]:
    """[S, K] feedback on random slates, of users that nobody else meets."""
    batch, rng = RecSimVectorEnv(num_envs=_SAMPLE, history=1), np.random.default_rng(0)
    seen, _ = batch.reset(seed=_FIRST_SEED)
    rows = []
    for _ in range(20):
        merit = rng.random(seen["available"].shape) * seen["available"]
        seen = batch.step(np.argsort(-merit, axis=1)[:, :SLATE])[0]
        rows.append(seen["feedback"][:, -1])
    return np.concatenate(rows)


gym.register(id=ENV_ID, vector_entry_point="driftrec.envs.recsim:RecSimVectorEnv")
