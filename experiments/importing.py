"""``driftrec import``: a log of one's own, with pseudonyms in place of who did it, encrypted.

The canonical log has the columns user_id (pseudonym), item_id, timestamp (seconds) and value; no
other column is taken over, since names and addresses tend to stand in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from driftrec.simulators.privacy import Pseudonyms, read_key
from driftrec.simulators.sealed import seal

from .errors import UserError
from .files import check_writable, write_atomic, write_json
from .logfiles import (
    BATCH,
    COLUMNS,
    PLAIN,
    PURPOSE,
    SEALED,
    is_imported,
    log_batches,
    need_pyarrow,
    open_log,
)

if TYPE_CHECKING:
    import pyarrow as pa

NOTE = "import.json"


@dataclass(frozen=True)
class ImportConfig:
    """What to read and how to keep it.

    Attributes:
        log: CSV or Parquet of events.
        out: folder of the imported log.
        key_file: see ``read_key``.
        columns: names of user_id, item_id, timestamp and value in the log, where they are others;
            a log without values has 1 everywhere.
        opted_out: text file, one user id a line: of them nothing is kept.
        encrypt: whether the imported log is encrypted.
    """

    log: Path
    out: Path
    key_file: Path | None = None
    columns: Mapping[str, str] | None = None
    opted_out: Path | None = None
    encrypt: bool = True

    def __post_init__(self) -> None:
        for name in self.columns or {}:
            if name not in COLUMNS:
                raise UserError(f"columns must be of {', '.join(COLUMNS)}, got {name!r}")
        if self.log.resolve().is_relative_to(self.out.resolve()):
            raise UserError(f"log must lie outside of {self.out}, or its users' ids stay there")


def import_log(config: ImportConfig) -> dict[str, Any]:
    """Writes the canonical log, and ``import.json`` about it, batch by batch.

    Returns:
        ``log`` (the file), ``rows``, and the ``left_out`` rows of users who opted out.

    Raises:
        UserError: for a bad log, naming the row and never a user; or a folder that can't be
            written.
        ValueError: for a bad key, or a key file in the folder.
    """
    if is_imported(config.log):
        raise UserError(f"log must be a .csv or .parquet file, got {config.log}, imported already")
    names = Pseudonyms(key := read_key(config.key_file, outside=config.out))
    refused = _refused(config.opted_out, names)
    check_writable(config.out)
    counts = {"rows": 0, "left_out": 0}
    batches = _named(config, names, refused, counts)
    file = config.out / (SEALED if config.encrypt else PLAIN)
    if config.encrypt:
        with seal(file, key, PURPOSE) as stream:
            _write(stream, batches)
    else:
        write_atomic(file, lambda path: _write_plain(path, batches))
    (config.out / (PLAIN if config.encrypt else SEALED)).unlink(missing_ok=True)
    write_json(config.out / NOTE, counts | {"columns": list(COLUMNS), "encrypted": config.encrypt})
    return {"log": str(file)} | counts


def held_in_log(path: Path, user: str, key_file: Path | None = None) -> dict[str, Any]:
    """All that an imported log holds on a user.

    Returns:
        ``user`` and ``pseudonym``, and the ``events`` with item, timestamp and value.

    Raises:
        UserError, ValueError: as ``open_log``, and for a missing key.
    """
    compute = need_pyarrow().compute
    name = Pseudonyms(read_key(key_file, outside=path if path.is_dir() else path.parent))(user)
    events: list[dict[str, Any]] = []
    with open_log(path, key_file) as table:
        for batch in table.iter_batches(BATCH):
            own = batch.filter(compute.equal(batch["user_id"], name))
            events += own.select(["item_id", "timestamp", "value"]).to_pylist()
    return {"user": user, "pseudonym": name, "events": events}


# --- reading ------------------------------------------------------------------------------------


def _refused(file: Path | None, names: Pseudonyms) -> set[str]:
    if file is None:
        return set()
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read opted_out {file}: {error}") from None
    return {names(line.strip()) for line in lines if line.strip()}


def _named(
    config: ImportConfig, names: Pseudonyms, refused: set[str], counts: dict[str, int]
) -> Iterator[pa.RecordBatch]:
    """The batches of the canonical log; ``counts`` is kept up to date."""
    pa = need_pyarrow()
    column = {name: (config.columns or {}).get(name, name) for name in COLUMNS}
    read = 0
    for batch in log_batches(config.log, column):
        where = _Place(config.log, read)
        user = _pseudonyms(batch[column["user_id"]], names, where)
        time = _seconds(batch[column["timestamp"]], where)
        value = pa.array(np.ones(len(user)))
        if column["value"] in batch.schema.names:
            value = where.numbers(batch[column["value"]], "value", "a number")
        item = where.cast(batch[column["item_id"]], pa.string(), "item_id", "text")
        rows = pa.record_batch([user, item, time, value], names=list(COLUMNS))
        read += len(rows)
        if refused:
            gone = pa.compute.is_in(rows["user_id"], pa.array(sorted(refused), pa.string()))
            rows = rows.filter(pa.compute.invert(gone))
        counts["rows"] += len(rows)
        counts["left_out"] = read - counts["rows"]
        yield rows


@dataclass(frozen=True)
class _Place:
    """Where a batch stands in a file."""

    file: Path
    rows: int

    def full(self, column: pa.Array, name: str) -> pa.Array:
        """The column, where no cell is empty."""
        if column.null_count:
            row = self.rows + int(np.asarray(column.is_null()).argmax()) + 1
            raise UserError(f"{self.file}, row {row}: expected a {name}, got an empty cell")
        return column

    def cast(self, column: pa.Array, kind: pa.DataType, name: str, what: str) -> pa.Array:
        """The column as another type; the values themselves are not shown where that fails."""
        pa = need_pyarrow()
        try:
            return self.full(column, name).cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise UserError(f"{self.file}: {name} must be {what}, got {column.type}") from None

    def numbers(self, column: pa.Array, name: str, what: str) -> pa.Array:
        """The column as finite numbers."""
        column = self.cast(column, need_pyarrow().float64(), name, what)
        finite = np.isfinite(column.to_numpy(zero_copy_only=False))
        if not finite.all():
            row = self.rows + int(finite.argmin()) + 1
            raise UserError(f"{self.file}, row {row}: {name} must be finite, got another number")
        return column


def _pseudonyms(column: pa.Array, names: Pseudonyms, where: _Place) -> pa.Array:
    """Each distinct id is named once a batch; whole numbers have no decimals in any type."""
    pa = need_pyarrow()
    if pa.types.is_floating(column.type):  # how pandas keeps whole numbers with gaps
        column = where.cast(column, pa.int64(), "user_id", "text or whole numbers")
    column = where.cast(column, pa.string(), "user_id", "text or whole numbers")
    codes = where.full(pa.compute.utf8_trim_whitespace(column), "user_id").dictionary_encode()
    if "" in (ids := codes.dictionary.to_pylist()):
        row = where.rows + codes.indices.to_pylist().index(ids.index("")) + 1
        raise UserError(f"{where.file}, row {row}: expected a user_id, got an empty cell")
    return pa.array([names(user) for user in ids], pa.string()).take(codes.indices)


def _seconds(column: pa.Array, where: _Place) -> pa.Array:
    pa = need_pyarrow()
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        micro = where.full(column, "timestamp").cast(pa.timestamp("us"), safe=False)
        return pa.compute.divide(micro.cast(pa.int64()).cast(pa.float64(), safe=False), 1e6)
    return where.numbers(column, "timestamp", "seconds, or dates and times")


# --- writing ------------------------------------------------------------------------------------


def _write_plain(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    with path.open("wb") as stream:
        _write(stream, batches)


def _write(stream: Any, batches: Iterator[pa.RecordBatch]) -> None:
    pa = need_pyarrow()
    kinds = (pa.string(), pa.string(), pa.float64(), pa.float64())
    schema = pa.schema(list(zip(COLUMNS, kinds, strict=True)))
    with pa.parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch.cast(schema))
