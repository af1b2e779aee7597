"""Catalogues from files: MovieLens, RecBole's atomic files, and tables of one's own.

Where there is a log, what users react to comes from it: `affinity` says how.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from .catalog import Catalog
from .records import Event, Item, build_catalog
from .tables import Row, read_rows
from .text import WordBank, generate_catalog

LAYOUTS = (
    "a folder with items.csv [and log.csv], a folder with movies.csv and ratings.csv, "
    "a folder or prefix of RecBole's .item and .inter files, or a .csv file"
)
NO_GENRE = ("", "(no genres listed)", "unknown")


def load_catalog(
    path: str | Path | None = None,
    domain: str = "video",
    latent_size: int = 32,
    min_events: int = 5,
) -> Catalog:
    """The built-in catalogue of a domain, or one read from files.

    Layouts that are read:

    - ``items.csv``: ``item_id,title,description,topics[,value][,quality]``, topics separated by
      ``|``, the first being the main one (it counts double); and beside it, if there is one,
      ``log.csv``: ``user_id,item_id,timestamp,value``, timestamps in seconds, values >= 0. Give
      the folder, or the file of items under any name.
    - MovieLens: ``movies.csv``, ``ratings.csv`` and, if there is one, ``tags.csv``.
    - RecBole's atomic files ``NAME.item`` and ``NAME.inter``: the folder, or the path ``.../NAME``.

    With a log, only items with at least ``min_events`` events are kept (a message on the
    ``driftrec`` logger says how many), since fewer don't tell who likes them; attributes and
    tastes are fitted on the log, and quality is log popularity unless the file gives it.

    Args:
        path: a file or folder, or None for the built-in catalogue.
        domain: whose built-in catalogue.
        latent_size: D of the vectors fitted on a log.
        min_events: events that an item needs.

    Raises:
        ValueError: if the path holds none of these, or a row is missing or malformed; the message
            names file, line and column, what was expected and what came.
    """
    if path is None:
        return generate_catalog(WordBank.load(domain))
    path = Path(path).expanduser()
    items, events = _open(path)
    name = path.resolve().stem if path.is_file() else path.resolve().name
    return build_catalog(name, items, events, latent_size, min_events)


def read_events(path: str | Path) -> Iterator[Event]:
    """The events of a log, in the order of the file.

    Args:
        path: what ``load_catalog`` reads where there is a log, or the log alone: a CSV
            ``user_id,item_id,timestamp,value``, MovieLens's ``ratings.csv``, RecBole's ``.inter``.

    Raises:
        ValueError: if the path holds no log, or a row is malformed; the message names the line.
    """
    path = Path(path).expanduser()
    if path.suffix == ".inter":
        return _recbole_events(path)
    if path.is_file() and path.suffix == ".csv":
        return _movielens_events(path) if path.name == "ratings.csv" else _own_events(path)
    _, events = _open(path)
    if events is None:
        raise ValueError(f"{path}: expected a log of who took what, got items alone")
    return events


def _open(path: Path) -> tuple[list[Item], Iterator[Event] | None]:
    if path.is_file():
        if path.suffix == ".item":
            return _open_recbole(path)
        if path.name != "movies.csv":
            return _open_own(path)
        path = path.parent
    if (path / "items.csv").is_file():
        return _open_own(path / "items.csv")
    if (path / "movies.csv").is_file():
        return list(_movielens_items(path)), _movielens_events(path / "ratings.csv")
    prefixed = path.with_name(path.name + ".item")
    found = [prefixed] if prefixed.is_file() else sorted(path.glob("*.item"))
    if len(found) > 1:
        names = ", ".join(file.stem for file in found)
        raise ValueError(f"{path}: expected one .item file, got {names}; name one of them")
    if not found:
        raise ValueError(f"catalog must be {LAYOUTS}; {path} is none of these")
    return _open_recbole(found[0])


def _distinct(rows: Iterable[Row], column: str) -> Iterator[Row]:
    seen = set()
    for row in rows:
        if row.text(column) in seen:
            raise row.fault(column, "an id that no earlier row has")
        seen.add(row.text(column))
        yield row


# --- tables of one's own


def _open_own(file: Path) -> tuple[list[Item], Iterator[Event] | None]:
    log = file.with_name("log.csv")
    return list(_own_items(file)), _own_events(log) if log.is_file() else None


def _own_items(file: Path) -> Iterator[Item]:
    rows = read_rows(file, ("item_id", "title", "description", "topics"))
    for row in _distinct(rows, "item_id"):
        topics = [topic.strip() for topic in row.text("topics").split("|")]
        if not all(topics) or len(set(topics)) < len(topics):
            raise row.fault("topics", "distinct names separated by |")
        value = row.number("value", 0) if "value" in row.cells else 1.0
        if value == 0:
            raise row.fault("value", "a number > 0")
        yield Item(
            id=row.text("item_id"),
            title=row.text("title"),
            description=row.cells["description"].strip(),
            topics=tuple((topic, 2.0 if k == 0 else 1.0) for k, topic in enumerate(topics)),
            value=value,
            quality=row.number("quality") if "quality" in row.cells else None,
        )


def _own_events(file: Path) -> Iterator[Event]:
    for row in read_rows(file, ("user_id", "item_id", "timestamp", "value")):
        row.number("timestamp")
        yield Event(row.text("user_id"), row.text("item_id"), row.number("value", 0), row)


# --- films


def _movielens_items(folder: Path) -> Iterator[Item]:
    tags: dict[str, Counter[str]] = defaultdict(Counter)
    if (folder / "tags.csv").is_file():
        for row in read_rows(folder / "tags.csv", ("movieId", "tag")):
            tags[row.text("movieId")][row.cells["tag"].strip().lower()] += 1
    films = read_rows(folder / "movies.csv", ("movieId", "title", "genres"))
    rows = list(_distinct(films, "movieId"))
    genres = [_genres(row.text("genres").split("|")) for row in rows]
    rarity = _rarity(genres)
    for row, names in zip(rows, genres, strict=True):
        film = row.text("movieId")
        best = sorted(tags[film].items(), key=lambda pair: (-pair[1], pair[0]))[:5]
        yield Item(
            id=film,
            title=row.text("title"),
            description=_film(names, [tag for tag, _ in best]),
            topics=tuple((name, rarity[name]) for name in names),
        )


def _movielens_events(file: Path) -> Iterator[Event]:
    for row in read_rows(file, ("userId", "movieId", "rating")):
        yield Event(row.text("userId"), row.text("movieId"), row.number("rating", 0), row)


def _genres(names: Iterable[str]) -> list[str]:
    return [name for name in dict.fromkeys(names) if name not in NO_GENRE]


def _rarity(topics: Iterable[Sequence[str]]) -> dict[str, float]:
    """Information of a topic, -log of its share: a western drama is a western in the first place.

    Genres come in alphabetical order, so the first one says nothing.
    """
    count = Counter(name for names in topics for name in names)
    total = sum(count.values())
    return {name: 1e-3 - math.log(n / total) for name, n in count.items()}


def _film(genres: Sequence[str], tags: Sequence[str]) -> str:
    kinds = [genre.lower() for genre in genres]
    kind = " and ".join([", ".join(kinds[:-1]), kinds[-1]] if len(kinds) > 1 else kinds)
    text = f"Film: {kind}." if kind else "Film."
    return f"{text} Viewers' tags: {', '.join(tags)}." if tags else text


# --- RecBole's atomic files: tab-separated, header cells ``name:type``


def _open_recbole(file: Path) -> tuple[list[Item], Iterator[Event] | None]:
    log = file.with_suffix(".inter")
    return list(_recbole_items(file)), _recbole_events(log) if log.is_file() else None


def _recbole_column(row: Row, names: Sequence[str]) -> str:
    for name in names:
        if name in row.cells:
            return name
    raise ValueError(
        f"{row.file}, line 1: expected a column {' or '.join(names)}, got {', '.join(row.cells)}"
    )


def _recbole_items(file: Path) -> Iterator[Item]:
    rows = list(_distinct(read_rows(file, ("item_id",), atomic=True), "item_id"))
    title = _recbole_column(rows[0], ("title", "movie_title", "name"))
    kind = _recbole_column(rows[0], ("class", "genre", "genres", "categories", "category"))
    topics = [_genres(row.cells[kind].split()) for row in rows]
    rarity = _rarity(topics)
    for row, names in zip(rows, topics, strict=True):
        year = row.cells.get("release_year", "")
        yield Item(
            id=row.text("item_id"),
            title=row.text(title) + (f" ({year})" if year.isdigit() else ""),
            description=_film(names, ()) if title == "movie_title" else ", ".join(names),
            topics=tuple((name, rarity[name]) for name in names),
        )


def _recbole_events(file: Path) -> Iterator[Event]:
    for row in read_rows(file, ("user_id", "item_id"), atomic=True):
        value = row.number("rating", 0) if "rating" in row.cells else 1.0
        yield Event(row.text("user_id"), row.text("item_id"), value, row)
