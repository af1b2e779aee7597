"""Serve one user of one's own: a history of items and feedback in, titles and scores out."""

from __future__ import annotations

import csv
import datetime
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftrec.agents.serving.event import Event
from driftrec.agents.serving.items import Items

from .errors import UserError
from .files import check_writable, read_json
from .runs import CONFIG, load_agent, read_run
from .worlds import make_batch

if TYPE_CHECKING:
    from driftrec.agents.serving import Recommender, ServedModel

FORMAT = "item_id,feedback (feedback in [0, 1]: 0 ignored, 1 consumed to the end), oldest first"
USER = "me"  # to whom a history belongs


# --- the model ----------------------------------------------------------------------------------


def load_recommender(folder: Path) -> Recommender:
    """The recommender of a run folder, or of an exported one.

    Raises:
        UserError: where the folder is neither, or its model cannot be used.
        ValueError: where an export is damaged.
    """
    from driftrec.agents.serving import Recommender

    if (folder / CONFIG).is_file() and "format" in read_json(folder / CONFIG):
        return Recommender.load(folder)
    return Recommender(model_of_run(folder))


def model_of_run(folder: Path) -> ServedModel:
    """The best model of a run, ready to be served.

    Raises:
        UserError: as ``load_agent``.
    """
    from driftrec.agents.serving import ServedModel

    trained = read_run(folder)["train"]
    env = make_batch(trained["env"], 1, trained["env_options"]).unwrapped
    policy = load_agent(folder, env, trained["env"]).policy
    requests = env.simulator.world.request_text
    return ServedModel.of(policy.network, policy.slots, env.catalog, requests)


def with_new_items(model: ServedModel, run: Path, new_items: Path) -> ServedModel:
    """The model of a run with items that it never met, placed by their texts and topics.

    Args:
        model: of the run.
        run: its folder.
        new_items: a catalogue, as ``load_catalog`` reads it.

    Raises:
        ValueError: for a file that is no catalogue, or an item that the model knows already.
    """
    from driftrec.agents.language import fused_features
    from driftrec.agents.serving import with_newcomers
    from driftrec.simulators.readers import load_catalog

    trained, catalog = read_run(run)["train"], load_catalog(new_items)
    env = make_batch(trained["env"], 1, trained["env_options"]).unwrapped
    language = trained["learner_options"].get("text") or "minilm"
    project = fused_features(env.catalog, model.network.features.numpy(), language)
    return with_newcomers(model, catalog, project(catalog))


def export(
    run: Path, out: Path, search: str = "auto", new_items: Path | None = None
) -> dict[str, Any]:
    """Write the best model of a run to a folder that ``Recommender.load`` serves.

    Args:
        run: the run's folder.
        out: the export's, new or an export to replace.
        search: exact, faiss or auto.
        new_items: a catalogue of further items, see ``with_new_items``.

    Returns:
        ``folder``, ``items``, ``search`` (exact or faiss) and ``bytes`` of the export.

    Raises:
        UserError: for a run that cannot be used or a folder that cannot be written.
        ValueError: for an unknown search, a folder that holds other things, or new items that are
            none.
    """
    from driftrec.agents.serving import save

    model = model_of_run(run)
    if not model.network.adaptive:
        raise UserError(
            f"run must be of an agent that reads on while it serves, {run} holds one that stops "
            "at its first decision (static-attention)"
        )
    check_writable(out)
    if new_items is not None:
        model = with_new_items(model, run, new_items)
    save(model, out, search)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    chosen = read_json(out / CONFIG)["search"]
    return {"folder": str(out), "items": len(model.items), "search": chosen, "bytes": size}


# --- the history --------------------------------------------------------------------------------


def read_history(path: Path, items: Items) -> list[Event]:
    """Read a user's history: CSV with a header, or a JSON list of objects.

    Both hold ``item_id`` (or ``title``) and ``feedback``, oldest first, and may hold ``time`` (ISO)
    and ``request``.

    Args:
        path: a ``.csv`` or ``.json`` file.
        items: those that the model knows.

    Returns:
        The events of ``USER``, oldest first.

    Raises:
        UserError: naming the line (CSV) or entry (JSON) of an unknown item or a bad feedback.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the history {path}: {error}") from None
    is_json = path.suffix.lower() == ".json"
    rows = _json_rows(text, path) if is_json else _csv_rows(text, path)
    index = _index(items)
    word = "entry" if is_json else "line"
    return [_event(row, index, items, f"{path}, {word} {number}") for number, row in rows]


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


def _index(items: Items) -> dict[str, int]:
    """Items by id and by title in lower case; ids win, of equal titles the first."""
    index: dict[str, int] = {}
    for names in (items.ids, [title.casefold() for title in items.title]):
        for item, name in enumerate(names):
            index.setdefault(name, item)
    return index


def find_item(name: str, items: Items) -> int:
    """An item by its id or its title.

    Raises:
        UserError: where there is none.
    """
    return _find(name, _index(items), "")


def _find(name: str, index: Mapping[str, int], where: str) -> int:
    item = index.get(name, index.get(name.casefold()))
    if item is None:
        raise UserError(f"{where}the catalogue has no item {name!r:.80}")
    return item


def _event(row: Mapping[str, Any], index: Mapping[str, int], items: Items, where: str) -> Event:
    named = row.get("item_id")
    name = str(row.get("title") if named in (None, "") else named).strip()
    item = _find(name, index, f"{where}: ")
    try:
        feedback = float(row.get("feedback"))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        raise UserError(
            f"{where}: feedback must be a number, got {row.get('feedback')!r}"
        ) from None
    try:
        time = read_time(row.get("time") or None, "time")
        return Event(USER, items.ids[item], feedback, time, str(row.get("request") or ""))
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None


def read_time(text: str | None, name: str = "at") -> datetime.datetime | None:
    """A local time in ISO form, or None where there is none.

    Raises:
        UserError: naming the argument.
    """
    if text is None:
        return None
    try:
        return datetime.datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise UserError(f"{name} must be a time like 2026-05-01T20:30, got {text!r:.80}") from None
