"""The items of a log: their table, vectors of their texts, and topics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from driftrec.simulators.tables import Row, read_rows

from ..errors import UserError

Floats = npt.NDArray[np.float64]
OTHER = "other"


@dataclass(frozen=True)
class ItemTable:
    """N items as their file gives them.

    Attributes:
        ids: [N] unique.
        title: [N] not empty.
        description: [N] may be empty.
        topics: [N] names of an item's topics, the main one first; none where the file is silent.
        value: [N] price or minutes, 1 where the file has none.
    """

    ids: tuple[str, ...]
    title: tuple[str, ...]
    description: tuple[str, ...]
    topics: tuple[tuple[str, ...], ...]
    value: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def texts(self) -> list[str]:
        """[N] all words on an item."""
        parts = zip(self.title, self.description, self.topics, strict=True)
        return [" ".join((title, text, *topics)) for title, text, topics in parts]


def read_items(file: Path) -> ItemTable:
    """Reads ``item_id,title[,description][,topics][,value]``, topics separated by ``|``.

    Raises:
        ValueError: naming file, line and column, where a row is malformed or an id comes twice.
    """
    rows: dict[str, Row] = {}
    for row in read_rows(file, ("item_id", "title")):
        if row.text("item_id") in rows:
            raise row.fault("item_id", "an id that no earlier row has")
        rows[row.text("item_id")] = row
    return ItemTable(
        ids=tuple(rows),
        title=tuple(row.text("title") for row in rows.values()),
        description=tuple(row.cells.get("description", "").strip() for row in rows.values()),
        topics=tuple(_topics(row) for row in rows.values()),
        value=tuple(_value(row) for row in rows.values()),
    )


def _topics(row: Row) -> tuple[str, ...]:
    names = (name.strip() for name in row.cells.get("topics", "").split("|"))
    return tuple(dict.fromkeys(name for name in names if name))


def _value(row: Row) -> float:
    value = row.number("value", 0) if row.cells.get("value", "").strip() else 1.0
    if value == 0:
        raise row.fault("value", "a number > 0")
    return value


def text_vectors(items: ItemTable, size: int = 32, seed: int = 0) -> Floats:
    """[N, <= size] what the words on the items say: unit rows; zero where no word is shared.

    TF-IDF, then the leading singular vectors: latent semantic analysis (Deerwester, Dumais,
    Furnas, Landauer & Harshman, 1990), by scikit-learn.

    Raises:
        UserError: if no word stands on two items.
    """
    from sklearn.decomposition import TruncatedSVD
    from sklearn.feature_extraction.text import TfidfVectorizer

    try:
        words = TfidfVectorizer(sublinear_tf=True, min_df=2).fit_transform(items.texts)
    except ValueError as error:
        raise UserError(f"items must have words in common, got none: {error}") from error
    kept = min(size, min(words.shape) - 1)
    if kept < 1:
        raise UserError(f"items must have words in common, got {words.shape[1]} such word")
    vectors = TruncatedSVD(kept, random_state=seed).fit_transform(words)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(length, 1e-9)


def with_topics(
    items: ItemTable, vectors: Floats, number: int = 24, seed: int = 0
) -> tuple[tuple[str, ...], ...]:
    """[N] topics of each item: the file's; else the cluster of its text, named by its words."""
    if any(items.topics):
        return tuple(topics or (OTHER,) for topics in items.topics)
    from sklearn.cluster import KMeans
    from sklearn.feature_extraction.text import TfidfVectorizer

    number = min(number, len(np.unique(vectors.round(6), axis=0)))
    cluster = KMeans(number, n_init=3, random_state=seed).fit_predict(vectors)
    vectorizer = TfidfVectorizer(sublinear_tf=True, min_df=2)
    words = vectorizer.fit_transform(items.texts)
    members = np.eye(number)[cluster]  # [N, C]
    weight = (members.T @ words) / np.maximum(members.sum(0), 1)[:, None]
    known = vectorizer.get_feature_names_out()
    names = [" ".join(known[row.argsort()[::-1][:2]]) for row in np.asarray(weight)]
    seen: dict[str, int] = {}
    for k, name in enumerate(names):
        seen[name] = seen.get(name, 0) + 1
        names[k] = name if seen[name] == 1 else f"{name} {seen[name]}"
    return tuple((names[k],) for k in cluster)
