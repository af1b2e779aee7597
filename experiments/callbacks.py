"""What watches a training: validation, checkpoints, ``metrics.csv`` and the progress bar."""

from __future__ import annotations

import csv
import io
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stable_baselines3.common.callbacks import BaseCallback

from .evaluate import run_sessions
from .files import write_atomic, write_text
from .progress import bar, note
from .runs import LAST, METRICS, MODEL

if TYPE_CHECKING:
    from driftrec.agents.episodes import EpisodeAlgorithm

_FIRST_COLUMNS = ("steps", "seconds", "validation_score", "train_reward")


class Validation(BaseCallback):
    """Validates between rollouts and keeps the best model, and the newest to go on from.

    The same users are met at every validation, so two scores of a run differ by the model alone.
    What a checkpoint says is how things stood between two rollouts, where an episode of every user
    had been learned from: a run that goes on from there is the run that was never interrupted.

    Args:
        env: vector environment with one row per validation user.
        env_id: its id.
        first_user: seed of the first row's user.
        every: user-steps from one validation to the next.
        total: user-steps of the whole training, for the progress bar.
        folder: where the models and ``metrics.csv`` go.
        early_stop: validations without a new best after which training ends; 0: it never does.
        progress: True draws a bar, False is silent; None draws it on a terminal, else prints lines.
    """

    model: EpisodeAlgorithm

    def __init__(
        self,
        *,
        env: Any,
        env_id: str,
        first_user: int,
        every: int,
        total: int,
        folder: Path,
        early_stop: int = 0,
        progress: bool | None,
    ) -> None:
        super().__init__()
        self._env, self._env_id, self._first_user = env, env_id, first_user
        self._every, self._next, self.folder = every, 0, folder
        self._rows: list[dict[str, float]] = []
        self._started = time.perf_counter()
        self._early_stop, self._waited = early_stop, 0
        self._boundary: dict[str, Any] | None = None
        self.on_score: Callable[[float], bool] | None = None  # is told scores, says to go on
        self._told_to_stop = False
        self._progress = progress
        self._bar = bar(progress, total=total, unit="step", unit_scale=True, desc=folder.name)
        self.best_score = float("-inf")
        self.best_step = 0

    @property
    def seconds(self) -> float:
        """Wall time of the run so far, what came before an interruption included."""
        return time.perf_counter() - self._started

    @property
    def stopped(self) -> bool:
        """Whether nothing better has come for too long, or ``on_score`` has seen enough."""
        return self._told_to_stop or 0 < self._early_stop <= self._waited

    def close(self) -> None:
        """Keep the newest model and release the environment; also after Ctrl-C."""
        self._bar.close()
        self._env.close()
        if self._boundary is not None:  # else half an update is done: the last file stays
            self._save_last()

    def _on_training_start(self) -> None:
        self.model.on_fitted = self._fitted
        if self.model.checkpoint is not None:
            self._go_on_from(self.model.checkpoint)

    def _on_rollout_start(self) -> None:
        due = self.num_timesteps >= self._next
        if due:
            self._validate()
            self._next = self.num_timesteps + self._every
        self._boundary = self._state()
        if due:
            self._save_last()

    def _on_step(self) -> bool:
        if self.stopped:
            return False
        self._bar.total = max(self._bar.total, self.num_timesteps)  # the last rollout is whole
        self._bar.update(self.num_timesteps - self._bar.n)
        return True

    def _on_rollout_end(self) -> None:
        self._boundary = None

    def _on_training_end(self) -> None:
        if self.stopped:  # at the first step of a rollout, which is not learned from
            self.model.num_timesteps = int(self._rows[-1]["steps"])
            return
        self._validate()
        self._boundary = self._state()

    def _state(self) -> dict[str, Any]:
        return {
            "steps": self.num_timesteps,
            "streams": self.model.streams(),
            "infos": list(self.model.ep_info_buffer or ()),
            "rows": list(self._rows),
            "next": self._next,
            "waited": self._waited,
            "best": (self.best_score, self.best_step),
            "seconds": self.seconds,
        }

    def _go_on_from(self, state: dict[str, Any]) -> None:
        self.model.set_streams(state["streams"])
        self.model.ep_info_buffer = deque(state["infos"], self.model._stats_window_size)
        self.model.checkpoint = None
        self._rows, self._next, self._waited = state["rows"], state["next"], state["waited"]
        self.best_score, self.best_step = state["best"]
        self._started -= state["seconds"]

    def _save_last(self) -> None:
        self.model.checkpoint = self._boundary
        self._save(LAST)
        self.model.checkpoint = None

    def _fitted(self) -> None:
        """Notes how good the log alone makes it; what it practises counts up to 0."""
        score, steps = self._score(), -self.model.practice_steps
        self._rows.append({"steps": steps, "seconds": self.seconds, "validation_score": score})
        note(self._progress, f"by the log alone: validation {score:.4f}")

    def _score(self) -> float:
        result = run_sessions(self.model, self._env, self._first_user, "model", self._env_id)
        return float(result.score.mean())

    def _validate(self) -> None:
        self._keep(self._score())

    def _keep(self, score: float) -> None:
        """Writes down a score, and the model where it is the best so far."""
        self._rows.append(self._row(score))
        self.logger.record("validation/score", score)
        self.logger.dump(self.num_timesteps)
        self._bar.set_postfix_str(f"validation {score:.4f}")
        note(self._progress, f"{self.num_timesteps:>9,} user-steps: validation {score:.4f}")
        self._waited += 1
        if score > self.best_score:
            self.best_score, self.best_step, self._waited = score, self.num_timesteps, 0
            self._save(MODEL)
        self._write_metrics()
        if self.on_score is not None and not self.on_score(score):
            self._told_to_stop = True

    def _row(self, score: float) -> dict[str, float]:
        recorded = self.logger.name_to_value
        row = {
            "steps": self.num_timesteps,
            "seconds": round(self.seconds, 3),
            "validation_score": score,
        }
        episodes = self.model.ep_info_buffer
        if episodes:
            horizon = int(self._env.unwrapped.horizon)
            row["train_reward"] = sum(e["r"] for e in episodes) / len(episodes) / horizon
        for name, value in recorded.items():
            group, _, short = name.partition("/")
            if group in ("train", "pretrain"):
                row[short if group == "train" else f"pretrain_{short}"] = float(value)
        return row

    def _write_metrics(self) -> None:
        names = [
            *_FIRST_COLUMNS,
            *sorted({n for row in self._rows for n in row} - {*_FIRST_COLUMNS}),
        ]
        text = io.StringIO()
        writer = csv.DictWriter(text, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write_text(self.folder / METRICS, text.getvalue())

    def _save(self, name: str) -> None:
        write_atomic(self.folder / name, lambda temporary: self.model.save(temporary))
