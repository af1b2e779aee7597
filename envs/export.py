"""Logged episodes with propensities, for offline learning and off-policy evaluation elsewhere.

``collect`` logs episodes, ``to_minari`` hands them to Minari (the extra ``offline``), and
``to_open_bandit`` gives them the shape of the Open Bandit Pipeline.

The keys of the latter, with a row per slot and ``rows`` = slates x K:

``n_rounds``: number of rows (kind "items") or of slates (kind "slates"); ``n_actions``: N.
``context`` [rows, F]: features of the observation; ``action_context`` [N, C + 2]: of the items.
``action``, ``position`` [rows]: item and slot.
``reward`` [rows]: of the slot; the reward of a slate of which nothing was taken is spread over it.
``pscore`` [rows]: "items": probability of the item given those in the slots above; "slates": of the
whole slate.
``slate_id``, ``pscore_cascade`` [rows], in "slates": number of the slate, and probability of the
slots down to this one.
``episode_id`` [rows]: which episode; the rows of one are no independent draws.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AutoresetMode

from driftrec.simulators.streams import Draw, Lanes, gumbel, user_keys

from .session import Observation
from .vector_env import DriftVectorEnv
from .wrappers import FlatFeatures, item_features

if TYPE_CHECKING:
    from minari import MinariDataset

Floats = npt.NDArray[np.float32]
Scores = Callable[[Observation], npt.NDArray[Any]]
_OF_BATCHES = {"num_envs", "vectorization_mode", "autoreset_mode", "vector_kwargs"}


@dataclass(frozen=True)
class Episode:
    """One user's episode under a logging policy.

    Attributes:
        seed: of the user.
        observations: [T + 1, ...] by key; the last is the one that the episode ended with.
        slates: [T, K] items shown.
        propensity: [T, K] probability of each slot's item, given those in the slots above.
        rewards: [T] in the domain's unit.
        terminated: whether the user left; else the horizon cut the episode.
    """

    seed: int
    observations: Observation
    slates: npt.NDArray[np.int64]
    propensity: npt.NDArray[np.float64]
    rewards: npt.NDArray[np.float64]
    terminated: bool

    def __len__(self) -> int:
        return len(self.rewards)


def collect(
    env: DriftVectorEnv, episodes: int, seed: int = 0, scores: Scores | None = None
) -> list[Episode]:
    """Logs the first episode of each of the users ``seed``, ``seed + 1``, ...

    Slates are drawn by Plackett and Luce: slot after slot, an item among those not yet shown with
    probability in proportion to the exponential of its score. What an episode holds depends on its
    user alone, not on how many users ``env`` has.

    Args:
        env: with SAME_STEP autoreset, and observations that later steps leave alone.
        episodes: how many.
        seed: of the first user.
        scores: observations of B users -> [B, N] scores in logits; None for uniform slates.

    Raises:
        ValueError: for another autoreset mode, ``copy=False``, or scores of another shape.
    """
    if env.autoreset_mode != AutoresetMode.SAME_STEP:
        raise ValueError(f"env must have SAME_STEP autoreset, got {env.autoreset_mode}")
    if not env.session.copy:
        raise ValueError("env must be made with copy=True to be logged, got copy=False")
    logged: list[Episode] = []
    while len(logged) < episodes:
        logged += _collect_batch(env, seed + len(logged), scores)
    return logged[:episodes]


def _collect_batch(env: DriftVectorEnv, seed: int, scores: Scores | None) -> list[Episode]:
    seeds = seed + np.arange(env.num_envs)
    key = user_keys(seeds, np.zeros_like(seeds))
    lanes = Lanes({"logging policy": len(env.catalog)})
    observation, _ = env.reset(seed=seed)
    steps: list[tuple[Any, ...]] = []
    ends = np.zeros((0, env.num_envs), bool)
    while not ends.any(0).all():
        score = _scores(env, observation, scores)
        draw = Draw(key, np.full(env.num_envs, len(steps)), lanes)["logging policy"]
        slates, propensity = sample_slates(score, env.slate_size, draw)
        after, reward, left, timed_out, infos = env.step(slates)
        ends = np.concatenate((ends, (left | timed_out)[None]))
        final = infos.get("final_obs", np.full(env.num_envs, None))
        steps.append((observation, slates, propensity, reward, left, final))
        observation = after
    # Rows go on into next episodes until all have ended: of each row the first end counts.
    return [
        _episode(int(seeds[row]), row, steps[: last + 1]) for row, last in enumerate(ends.argmax(0))
    ]


def _scores(env: DriftVectorEnv, observation: Observation, scores: Scores | None) -> Floats:
    shape = (env.num_envs, len(env.catalog))
    score = np.zeros(shape, np.float32) if scores is None else np.array(scores(observation))
    if score.shape != shape or np.isnan(score).any():
        raise ValueError(f"scores must give numbers of shape {shape}, got {score.shape}")
    if "available" in observation:
        score[observation["available"] == 0] = -np.inf
    return score.astype(np.float32)


def _episode(seed: int, row: int, steps: Sequence[tuple[Any, ...]]) -> Episode:
    seen = [{key: value[row] for key, value in step[0].items()} for step in steps]
    seen.append(steps[-1][5][row])
    return Episode(
        seed=seed,
        observations={key: np.stack([part[key] for part in seen]) for key in seen[0]},
        slates=np.stack([step[1][row] for step in steps]),
        propensity=np.stack([step[2][row] for step in steps]),
        rewards=np.array([step[3][row] for step in steps]),
        terminated=bool(steps[-1][4][row]),
    )


def sample_slates(
    scores: Floats, slots: int, uniform: Floats
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Slates drawn by Plackett and Luce, and the probability of each slot given those above.

    P(slot k = j | slots above) = exp(s_j) / sum of exp(s_i) over the items i not yet shown.
    Drawn as the ``slots`` largest of s + Gumbel noise (Kool, van Hoof & Welling, 2019,
    "Stochastic beams and where to find them").

    Args:
        scores: [B, N] logits; -inf for what must not be shown.
        slots: K.
        uniform: [B, N] uniform on (0, 1).

    Returns:
        [B, K] item ids and [B, K] probabilities.
    """
    noisy = scores + gumbel(uniform)
    slates = np.argsort(-noisy, axis=1, kind="stable")[:, :slots]
    weight = np.exp(scores.astype(np.float64) - scores.max(1, keepdims=True))
    chosen = np.take_along_axis(weight, slates, axis=1)
    rest = weight.sum(1, keepdims=True) - np.cumsum(chosen, axis=1) + chosen
    # Where nearly all weight is shown above, the difference is lost in rounding, the sum is not.
    below = np.cumsum(chosen[:, ::-1], axis=1)[:, ::-1]
    return slates, chosen / np.maximum(rest, below)


def to_minari(
    episodes: Sequence[Episode],
    env: DriftVectorEnv,
    dataset_id: str,
    *,
    data_format: str = "arrow",
    **metadata: Any,
) -> MinariDataset:
    """Writes the episodes as a local Minari dataset; ``infos["propensity"]`` [T, K] goes with them.

    Args:
        episodes: of ``collect``.
        env: that they come from; one made by ``gymnasium.make_vec`` can be recovered from the
            dataset.
        dataset_id: such as ``driftrec/video/uniform-v0``; must be new.
        data_format: "arrow", "parquet" or "hdf5".
        **metadata: ``algorithm_name``, ``author``, ``description``, ..., as Minari takes them.

    Raises:
        ImportError: where Minari is missing.
    """
    try:
        import minari
        from minari.data_collector import EpisodeBuffer
    except ImportError as error:
        raise ImportError("to_minari needs Minari: pip install 'driftrec[offline]'") from error

    buffers = [EpisodeBuffer(id=i, **_parts(episode)) for i, episode in enumerate(episodes)]
    return minari.create_dataset_from_buffers(
        dataset_id,
        buffers,
        env=_single_spec(env),
        observation_space=env.single_observation_space,
        action_space=env.single_action_space,
        data_format=data_format,
        **metadata,
    )


def _parts(episode: Episode) -> dict[str, Any]:
    """An episode as the fields of Minari's ``EpisodeBuffer``."""
    going_on = [False] * (len(episode) - 1)
    return {
        "seed": episode.seed,
        "observations": dict(episode.observations),
        "actions": episode.slates,
        "rewards": list(episode.rewards),
        "terminations": [*going_on, episode.terminated],
        "truncations": [*going_on, not episode.terminated],
        # One row more than steps, as Minari keeps infos: the reset comes first.
        "infos": {"propensity": np.pad(episode.propensity, ((1, 0), (0, 0)))},
    }


def _single_spec(env: DriftVectorEnv) -> EnvSpec | None:
    """The spec of one user's environment: its entry point, a name, needs no import of driftrec."""
    if env.spec is None:
        return None
    options = {key: value for key, value in env.spec.kwargs.items() if key not in _OF_BATCHES}
    return replace(env.spec, kwargs=options)


def to_open_bandit(
    episodes: Sequence[Episode],
    env: DriftVectorEnv,
    kind: Literal["items", "slates"] = "items",
    context: Scores | None = None,
) -> dict[str, Any]:
    """The log in the shape of the Open Bandit Pipeline's ``bandit_feedback``: a row per slot.

    The module's docstring has its keys.

    Source: Saito, Aihara, Matsutani & Narita (2021), "Open Bandit Dataset and Pipeline".

    Args:
        episodes: of ``collect``.
        env: that they come from.
        kind: for estimators of single actions, or of slates.
        context: observations -> [B, F]; None for ``FlatFeatures`` of the last 5 slates.

    Raises:
        ValueError: for another kind, or no episode.
    """
    if kind not in ("items", "slates"):
        raise ValueError(f"kind must be 'items' or 'slates', got {kind!r}")
    if not episodes:
        raise ValueError("episodes must hold at least one episode, got none")
    features = context or FlatFeatures(env, min(5, env.history))
    slots = env.slate_size
    slates = np.concatenate([episode.slates for episode in episodes])  # [T, K], all episodes
    propensity = np.concatenate([episode.propensity for episode in episodes])
    seen = [features({k: v[:-1] for k, v in e.observations.items()}) for e in episodes]
    episode_id = np.repeat(np.arange(len(episodes)), [len(episode) for episode in episodes])
    log: dict[str, Any] = {
        "n_rounds": slates.size,
        "n_actions": len(env.catalog),
        "context": np.repeat(np.concatenate(seen), slots, axis=0),
        "action_context": item_features(env.catalog),
        "action": slates.ravel(),
        "position": np.tile(np.arange(slots), len(slates)),
        "reward": np.concatenate([_slot_rewards(episode) for episode in episodes]).ravel(),
        "pscore": propensity.ravel(),
        "episode_id": np.repeat(episode_id, slots),
    }
    if kind == "slates":
        cascade = np.cumprod(propensity, axis=1)
        log["n_rounds"] = len(slates)
        log["slate_id"] = np.repeat(np.arange(len(slates)), slots)
        log["pscore_cascade"] = cascade.ravel()
        log["pscore"] = np.repeat(cascade[:, -1], slots)
    return log


def _slot_rewards(episode: Episode) -> npt.NDArray[np.float64]:
    """[T, K] rewards of slots, that sum to those of the slates."""
    taken = episode.observations["feedback"][1:, -1] > 0
    share = np.where(taken.any(1, keepdims=True), taken, 1 / taken.shape[1])
    return share * episode.rewards[:, None]
