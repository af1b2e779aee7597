"""Serve one user of one's own: a history of items and feedback in, titles and scores out."""

from __future__ import annotations

import csv
import datetime
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from driftrec.simulators import Catalog

from .errors import UserError

FORMAT = "item_id,feedback (feedback in [0, 1]: 0 ignored, 1 consumed to the end), oldest first"


@dataclass(frozen=True)
class Event:
    """One item shown to the user and what came of it.

    Attributes:
        item: index into the catalogue.
        feedback: in [0, 1].
    """

    item: int
    feedback: float


@dataclass(frozen=True)
class Recommendation:
    """One line of the answer."""

    rank: int
    item_id: str
    title: str
    score: float


def read_history(path: Path, catalog: Catalog) -> list[Event]:
    """Read a user's history: CSV with a header, or a JSON list of objects.

    Both hold ``item_id`` (or ``title``) and ``feedback``, oldest first.

    Args:
        path: a ``.csv`` or ``.json`` file.
        catalog: the items that the model knows.

    Returns:
        The events, oldest first.

    Raises:
        UserError: naming the line (CSV) or entry (JSON) of an unknown item or a bad feedback.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the history {path}: {error}") from None
    is_json = path.suffix.lower() == ".json"
    rows = _json_rows(text, path) if is_json else _csv_rows(text, path)
    index = _index(catalog)
    word = "entry" if is_json else "line"
    return [_event(row, index, f"{path}, {word} {number}") for number, row in rows]


def _csv_rows(text: str, path: Path) -> Iterable[tuple[int, Mapping[str, Any]]]:
    reader = csv.DictReader(text.splitlines())
    columns = set(reader.fieldnames or ())
    if "feedback" not in columns or not columns & {"item_id", "title"}:
        raise UserError(f"{path} must have the columns {FORMAT}, got {sorted(columns)}")
    for row in reader:
        yield reader.line_num, row


def _json_rows(text: str, path: Path) -> Iterable[tuple[int, Mapping[str, Any]]]:
    try:
        rows = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path} must hold JSON: {error}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path} must hold a list of objects with {FORMAT}")
    return enumerate(rows, 1)


def _index(catalog: Catalog) -> dict[str, int]:
    """Items by id and by title in lower case; ids win, of equal titles the first."""
    index: dict[str, int] = {}
    for names in (catalog.ids, [title.casefold() for title in catalog.title]):
        for item, name in enumerate(names):
            index.setdefault(name, item)
    return index


def _event(row: Mapping[str, Any], index: Mapping[str, int], where: str) -> Event:
    named = row.get("item_id")
    name = str(row.get("title") if named in (None, "") else named).strip()
    item = index.get(name, index.get(name.casefold()))
    if item is None:
        raise UserError(f"{where}: the catalogue has no item {name!r}")
    try:
        feedback = float(row.get("feedback"))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UserError(
            f"{where}: feedback must be a number, got {row.get('feedback')!r}"
        ) from None
    if not 0 <= feedback <= 1:  # NaN fails as well
        raise UserError(f"{where}: feedback must be in [0, 1], got {feedback}")
    return Event(item, feedback)


def build_observation(
    events: Sequence[Event], env: Any, request: int, when: datetime.datetime
) -> dict[str, npt.NDArray[Any]]:
    """What the agent would see of this user in the environment.

    Each event is a slate with one item; of a longer history the last H events are seen.

    Args:
        events: oldest first.
        env: the environment that the model was trained for; it tells the shapes.
        request: id of the request, 0 for none.
        when: local time of the request.

    Returns:
        The observation of one user, without a batch axis.
    """
    length, size = int(env.unwrapped.history), int(env.unwrapped.slate_size)
    slates = np.full((length, size), -1, np.int32)  # [H, K]
    feedback = np.zeros((length, size), np.float32)  # [H, K]
    seen = events[-length:]
    for row, event in enumerate(seen, start=length - len(seen)):
        slates[row, 0], feedback[row, 0] = event.item, event.feedback
    hour = when.hour + when.minute / 60
    day, week = 2 * np.pi * hour / 24, 2 * np.pi * (24 * when.weekday() + hour) / 168
    observation: dict[str, npt.NDArray[Any]] = {
        "slates": slates,
        "feedback": feedback,
        "request": np.asarray(request, np.int64),
        "time": np.array([np.sin(day), np.cos(day), np.sin(week), np.cos(week)], np.float32),
    }
    if "available" in env.unwrapped.single_observation_space.spaces:
        observation["available"] = np.ones(len(env.unwrapped.catalog), np.int8)
    return observation


def match_request(text: str | None, known: Sequence[str]) -> int:
    """The known request that shares most words with ``text``; 0 where none shares any.

    Args:
        text: what the user asks for, in words.
        known: [R] texts of the requests, the first of which means "none".
    """
    words = _words(text or "")
    if not words:
        return 0
    overlap = [len(words & _words(request)) / (1 + len(_words(request))) for request in known]
    best = int(np.argmax(overlap))
    return best if overlap[best] > 0 else 0


def _words(text: str) -> set[str]:
    return {word for word in re.findall(r"\w+", text.casefold()) if len(word) > 2}


def item_scores(agent: Any, observation: Mapping[str, npt.NDArray[Any]]) -> npt.NDArray[np.float64]:
    """[N] what the agent thinks of each item for one user; larger is better."""
    import torch

    batch = {name: torch.as_tensor(value)[None] for name, value in observation.items()}
    with torch.no_grad():
        output, _ = agent.policy.advance(batch, None, None)
    return np.asarray(output.scores[0, 0], np.float64)


def recommend(
    agent: Any, observation: Mapping[str, npt.NDArray[Any]], catalog: Catalog, count: int
) -> list[Recommendation]:
    """The ``count`` items that score highest, best first.

    Raises:
        UserError: where ``count`` is not in 1 .. N.
    """
    if not 1 <= count <= len(catalog):
        raise UserError(f"k must be in [1, {len(catalog)}] (items of the catalogue), got {count}")
    scores = item_scores(agent, observation)
    order = np.argsort(-scores, kind="stable")[:count]
    return [
        Recommendation(rank, catalog.ids[item], catalog.title[item], float(scores[item]))
        for rank, item in enumerate(order, 1)
    ]
