"""A log read in one pass and bounded memory: a uniform sample of its users, with all they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from ..logfiles import log_batches

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

COLUMNS = ("user_id", "item_id", "timestamp")
_ALL = float(2**64)
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class EventLog:
    """Events sorted by user, and by time within a user; ties in random order.

    Attributes:
        user: [E] index of the user, 0 to U - 1.
        item: [E] row of the item in the table of items.
        time: [E] seconds.
        popularity: [N] events of each item among all rows of the file, sampled or not.
        rows: rows of the file.
        share: of the users that was kept, 1 where all fitted the memory.
    """

    user: Ints
    item: Ints
    time: npt.NDArray[np.float64]
    popularity: Ints
    rows: int
    share: float

    def __len__(self) -> int:
        return len(self.user)

    @property
    def num_users(self) -> int:
        """U."""
        return int(self.user[-1]) + 1 if len(self.user) else 0

    @property
    def first(self) -> Ints:
        """[U + 1] where each user's events begin, and E."""
        return np.searchsorted(self.user, np.arange(self.num_users + 1))

    @property
    def place(self) -> Ints:
        """[E] how many events of the same user come before."""
        return np.arange(len(self)) - self.first[self.user]

    def only(self, users: npt.NDArray[np.bool_]) -> EventLog:
        """The log of the users where ``users`` [U] is true, numbered anew."""
        kept = users[self.user]
        number = np.cumsum(users) - 1
        return replace(
            self, user=number[self.user[kept]], item=self.item[kept], time=self.time[kept]
        )

    def split(self, share: float, seed: int = 0) -> tuple[EventLog, EventLog]:
        """The log without a random share of its users, and the log of those users."""
        held = np.random.default_rng([seed, 1]).random(self.num_users) < share
        return self.only(~held), self.only(held)

    def shuffled(self, seed: int = 0) -> EventLog:
        """The same events in random order within each user: nothing in it drifts."""
        order = np.lexsort((np.random.default_rng([seed, 2]).random(len(self)), self.user))
        return replace(self, item=self.item[order])


def make_log(
    user: npt.NDArray[Any],
    item: npt.ArrayLike,
    time: npt.ArrayLike,
    popularity: Ints,
    *,
    rows: int | None = None,
    share: float = 1.0,
    seed: int = 0,
) -> EventLog:
    """A log from columns [E] in any order."""
    item, time = np.asarray(item, np.int64), np.asarray(time, np.float64)
    number = np.unique(user, return_inverse=True)[1].astype(np.int64)
    order = np.lexsort((np.random.default_rng([seed, 0]).random(len(number)), time, number))
    total = len(number) if rows is None else rows
    return EventLog(number[order], item[order], time[order], popularity, total, share)


def read_log(
    file: Path,
    item_ids: Sequence[str],
    columns: Mapping[str, str] | None = None,
    max_events: int = 2_000_000,
    seed: int = 0,
) -> EventLog:
    """Reads a CSV or Parquet file batch by batch.

    A user is kept where the hash of the id lies below a threshold. When more than ``max_events``
    events are kept, the threshold is halved and those above it are let go: what remains is a
    uniform sample of users with all their events, whatever the order of the rows, and memory is
    bounded by ``max_events`` and the number of items. Ids of users are never kept, only their
    hashes while reading.

    Args:
        file: ``.csv`` or ``.parquet`` with columns user_id, item_id and timestamp: seconds, or
            dates and times. Or a folder of ``driftrec import``, decrypted as it is read by the key
            of the environment.
        item_ids: [N] ids of the table of items.
        columns: names of these columns in the file, where they are others.
        max_events: events that are kept at most.
        seed: orders events of the same time.

    Raises:
        UserError: for an unknown kind of file, a missing column, an item that is not in the table
            or a missing cell; with the number of the row.
    """
    import pandas as pd

    names = {name: (columns or {}).get(name, name) for name in COLUMNS}
    index = pd.Index(item_ids)
    popularity = np.zeros(len(item_ids), np.int64)
    chunks: list[tuple[npt.NDArray[Any], ...]] = []
    threshold, kept, rows = _ALL, 0, 0
    for batch in log_batches(file, names):
        item = _item_rows(batch[names["item_id"]], index, file, rows)
        popularity += np.bincount(item, minlength=len(popularity))
        ids, who = _codes(batch[names["user_id"]], file, rows, "user_id")
        user = pd.util.hash_array(ids)[who]
        time = _seconds(batch[names["timestamp"]], file, rows)
        rows += len(time)
        chunks.append(_below((user, item, time), threshold))
        kept += len(chunks[-1][0])
        while kept > max_events:
            threshold /= 2
            chunks = [_below(chunk, threshold) for chunk in chunks]
            kept = sum(len(chunk[0]) for chunk in chunks)
    if kept == 0:
        raise UserError(f"{file}: expected rows of {', '.join(names.values())}, got none")
    user, item, time = (np.concatenate(column) for column in zip(*chunks, strict=True))
    return make_log(user, item, time, popularity, rows=rows, share=threshold / _ALL, seed=seed)


def _item_rows(column: pa.Array, index: pd.Index, file: Path, rows: int) -> npt.NDArray[np.int32]:
    """Rows of a column's items in the table of items."""
    item, code = _codes(column, file, rows, "item_id")
    found = index.get_indexer(item)
    if (found < 0).any():
        row = rows + int((found[code] < 0).argmax()) + 1
        raise UserError(
            f"{file}, row {row}: expected an item_id of the table of items, "
            f"got {item[code][row - rows - 1]!r}"
        )
    return found[code].astype(np.int32)


def _below(chunk: tuple[npt.NDArray[Any], ...], threshold: float) -> tuple[npt.NDArray[Any], ...]:
    keep = chunk[0] < threshold
    return tuple(column[keep] for column in chunk)


def _codes(
    column: pa.Array, file: Path, rows: int, name: str
) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Distinct texts of a column, and which of them stands in each row."""
    import pyarrow as pa

    _refuse_null(column, file, rows, name)
    encoded = column.cast(pa.string()).dictionary_encode()
    return (
        encoded.dictionary.to_numpy(zero_copy_only=False).astype(object),
        encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64),
    )


def _seconds(column: pa.Array, file: Path, rows: int) -> npt.NDArray[np.float64]:
    import pyarrow as pa

    _refuse_null(column, file, rows, "timestamp")
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        micro = column.cast(pa.timestamp("us"), safe=False).cast(pa.int64())
        return micro.to_numpy(zero_copy_only=False) / 1e6
    try:
        seconds = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:
        raise UserError(
            f"{file}: timestamp must be seconds, or dates and times, got {column.type}"
        ) from None
    if not np.isfinite(seconds).all():
        row = rows + int(np.argmin(np.isfinite(seconds))) + 1
        raise UserError(f"{file}, row {row}: expected a timestamp, got NaN or infinity")
    return seconds


def _refuse_null(column: pa.Array, file: Path, rows: int, name: str) -> None:
    if column.null_count:
        row = rows + int(np.asarray(column.is_null()).argmax()) + 1
        raise UserError(f"{file}, row {row}: expected a {name}, got an empty cell")
