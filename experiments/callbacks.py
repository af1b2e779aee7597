"""What watches a training: validation, checkpoints, ``metrics.csv`` and the progress bar."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

from stable_baselines3.common.callbacks import BaseCallback

from .evaluate import run_sessions
from .files import write_atomic, write_text
from .progress import bar, note
from .runs import LAST, METRICS, MODEL

_FIRST_COLUMNS = ("steps", "seconds", "validation_score", "train_reward")


class Validation(BaseCallback):
    """Validates between rollouts and keeps the best model.

    The same users are met at every validation, so two scores of a run differ by the model alone.

    Args:
        env: vector environment with one row per validation user.
        env_id: its id.
        first_user: seed of the first row's user.
        every: user-steps from one validation to the next.
        total: user-steps of the whole training, for the progress bar.
        folder: where the models and ``metrics.csv`` go.
        progress: True draws a bar, False is silent; None draws it on a terminal, else prints lines.
    """

    def __init__(
        self,
        *,
        env: Any,
        env_id: str,
        first_user: int,
        every: int,
        total: int,
        folder: Path,
        progress: bool | None,
    ) -> None:
        super().__init__()
        self._env, self._env_id, self._first_user = env, env_id, first_user
        self._every, self._next, self._folder = every, 0, folder
        self._rows: list[dict[str, float]] = []
        self._started = time.perf_counter()
        self._progress = progress
        self._bar = bar(progress, total=total, unit="step", unit_scale=True, desc=folder.name)
        self.best_score = float("-inf")
        self.best_step = 0

    def close(self) -> None:
        """Keep the newest model and release the environment; also after Ctrl-C."""
        self._bar.close()
        self._env.close()
        self._save(LAST)

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= self._next:
            self._validate()
            self._next = self.num_timesteps + self._every

    def _on_step(self) -> bool:
        self._bar.total = max(self._bar.total, self.num_timesteps)  # the last rollout is whole
        self._bar.update(self.num_timesteps - self._bar.n)
        return True

    def _on_training_end(self) -> None:
        self._validate()

    def _validate(self) -> None:
        result = run_sessions(self.model, self._env, self._first_user, "model", self._env_id)
        score = float(result.score.mean())
        self._rows.append(self._row(score))
        self.logger.record("validation/score", score)
        self.logger.dump(self.num_timesteps)
        self._bar.set_postfix_str(f"validation {score:.4f}")
        note(self._progress, f"{self.num_timesteps:>9,} user-steps: validation {score:.4f}")
        if score > self.best_score:
            self.best_score, self.best_step = score, self.num_timesteps
            self._save(MODEL)
        self._write_metrics()

    def _row(self, score: float) -> dict[str, float]:
        recorded = self.logger.name_to_value
        row = {
            "steps": self.num_timesteps,
            "seconds": round(time.perf_counter() - self._started, 3),
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
        write_text(self._folder / METRICS, text.getvalue())

    def _save(self, name: str) -> None:
        write_atomic(self._folder / name, lambda temporary: self.model.save(temporary))
