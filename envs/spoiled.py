"""Feedback that does not say what the user thought: lost on the way, or made by a bot.

What is spoiled is what an agent is told; the user chooses, and changes, as ever. Whether an event
is spoiled follows from the user and the slate alone, so it reads the same at every later request,
and all agents meet the same bots.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

from driftrec.simulators.streams import Keys, mix64, user_keys

from .session import Observation

Floats = npt.NDArray[np.float32]
_BITS = np.uint64(11)  # of 64, that a float64 in [0, 1) has no room for
BOTS = "bots-"  # before the name of a kind: whole users are spoiled, not single events


def _lost(feedback: Floats, word: Keys) -> Floats:
    """Nothing is recorded: a slate that was shown and not answered."""
    return np.zeros_like(feedback)


def _random(feedback: Floats, word: Keys) -> Floats:
    """One slot drawn at random is taken to the end."""
    slots = feedback.shape[-1]
    drawn = (mix64(word) % np.uint64(slots)).astype(np.int64)
    return np.eye(slots, dtype=np.float32)[drawn]


def _inverted(feedback: Floats, word: Keys) -> Floats:
    """What was passed over is taken to the end, and what was taken the less the better it was."""
    return 1 - feedback


KINDS: dict[str, Callable[[Floats, Keys], Floats]] = {
    "lost": _lost,
    "random": _random,
    "inverted": _inverted,
}


class SpoiledFeedback(VectorWrapper[Any, Any, Any, Any, Any]):
    """A share of the feedback in observations is replaced, by a name in ``KINDS``.

    Of spoiled users (``bots-random`` and so on) all feedback is, and the reward is what a platform
    that believes it books; of spoiled events the reward stays what the user gave.

    Args:
        env: the batch.
        kind: what becomes of the feedback.
        share: of the events, or of the users, in [0, 1].

    Raises:
        ValueError: for an unknown kind, or a share outside [0, 1].
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], kind: str, share: float) -> None:
        super().__init__(env)
        self.bots = kind.startswith(BOTS)
        name = kind.removeprefix(BOTS)
        if name not in KINDS:
            known = [*KINDS, *(BOTS + kind for kind in KINDS)]
            raise ValueError(f"feedback must be one of {', '.join(known)}, got {kind!r}")
        if not 0 <= share <= 1:
            raise ValueError(f"share of spoiled feedback must be in [0, 1], got {share}")
        self._spoil, self.share = KINDS[name], share
        bare: Any = env.unwrapped
        self._worth = bare.simulator.worth
        slots = np.arange(1, bare.slate_size + 1, dtype=np.uint64)
        self._weights = mix64(slots) | np.uint64(1)
        self._users = np.zeros(env.num_envs, np.uint64)
        self._ended = np.zeros(env.num_envs, bool)  # rows that a step only begins anew
        self._next_step = env.metadata["autoreset_mode"] == AutoresetMode.NEXT_STEP

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        """First observations, spoiled, and infos."""
        observation, infos = self.env.reset(seed=seed, options=options)
        self._ended[:] = False
        self._users = self._keys()
        return self._spoiled(observation, self._users), infos

    def step(self, actions: Any) -> Any:
        """As the batch, with spoiled observations."""
        observation, reward, left, timed_out, infos = self.env.step(actions)
        before, self._users = self._users, self._keys()
        newest = {key: observation[key][:, -1:].copy() for key in ("slates", "feedback")}
        for row in np.flatnonzero(infos.get("_final_obs", ())):
            last = infos["final_obs"][row]
            for key, part in newest.items():
                part[row] = last[key][-1:]
            one = {key: np.asarray(part)[None] for key, part in last.items()}
            spoiled = self._spoiled(one, before[row : row + 1])
            infos["final_obs"][row] = {key: part[0] for key, part in spoiled.items()}
        if self.bots:
            reward = np.where(self._ended, reward, self._booked(newest, before, reward))
        if self._next_step:
            self._ended = left | timed_out
        return self._spoiled(observation, self._users), reward, left, timed_out, infos

    def _keys(self) -> Keys:
        session = self.env.unwrapped.session  # type: ignore[attr-defined]
        return user_keys(session.seeds, session.episodes)

    def _spoiled(self, observation: Observation, users: Keys) -> Observation:
        slates, feedback = observation["slates"], observation["feedback"]
        numbers = slates.astype(np.uint64)  # [B, H, K]
        word = mix64(users[:, None] + (numbers * self._weights).sum(-1, dtype=np.uint64))
        drawn = mix64(users)[:, None] if self.bots else word
        hit = (drawn >> _BITS) * 2.0**-53 < self.share
        hit = hit[..., None] & (slates >= 0)
        return {**observation, "feedback": np.where(hit, self._spoil(feedback, word), feedback)}

    def _booked(self, newest: Observation, users: Keys, reward: Any) -> Any:
        """[B] what the feedback on the newest slates [B, 1, K] is taken to be worth."""
        told = self._spoiled(newest, users)["feedback"][:, 0]
        changed = (told != newest["feedback"][:, 0]).any(1)
        return np.where(changed, (told * self._worth[newest["slates"][:, 0]]).sum(1), reward)


def spoil(env: VectorEnv[Any, Any, Any], feedback: str) -> VectorEnv[Any, Any, Any]:
    """The batch with spoiled feedback.

    Args:
        env: the batch.
        feedback: kind and share, such as ``lost:0.3`` or ``bots-random:0.1``; "true" for none.

    Raises:
        ValueError: for another form, an unknown kind, or a share outside [0, 1].
    """
    if feedback == "true":
        return env
    kind, _, share = str(feedback).partition(":")
    try:
        number = float(share)
    except ValueError:
        raise ValueError(
            f"feedback must be true, or look like lost:0.3, got {feedback!r}"
        ) from None
    return SpoiledFeedback(env, kind, number)
