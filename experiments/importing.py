"""``driftrec import``: a log of one's own, with pseudonyms in place of who did it, encrypted.

The canonical log has the columns user_id (pseudonym), item_id, timestamp (seconds) and value; no
other column is taken over, since names and addresses tend to stand in them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from driftrec.simulators.privacy import Pseudonyms, read_key
from driftrec.simulators.sealed import is_sealed, seal, unseal

from .errors import UserError
from .files import check_writable, write_atomic, write_json

if TYPE_CHECKING:
    import pyarrow as pa

SEALED, PLAIN, NOTE = "log.sealed", "log.parquet", "import.json"
PURPOSE = "log"
_WANTED, _BATCH = ("user_id", "item_id", "timestamp", "value"), 1 << 16  # rows at a time


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
            if name not in _WANTED:
                raise UserError(f"columns must be of {', '.join(_WANTED)}, got {name!r}")
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
    write_json(config.out / NOTE, counts | {"columns": list(_WANTED), "encrypted": config.encrypt})
    return {"log": str(file)} | counts


def is_imported(path: Path) -> bool:
    """Whether a path is a folder of ``driftrec import``, or the encrypted log in it."""
    if path.is_dir():
        return (path / SEALED).is_file() or (path / PLAIN).is_file()
    return path.is_file() and is_sealed(path)


@contextlib.contextmanager
def open_log(path: Path, key_file: Path | None = None) -> Iterator[Any]:
    """An imported log as a ``pyarrow.parquet.ParquetFile``, decrypted as it is read.

    Args:
        path: folder of ``driftrec import``, or its file.
        key_file: see ``read_key``; not needed where the log isn't encrypted.

    Raises:
        UserError: where there is no log.
        ValueError: for another key, or a file that was changed.
    """
    file = path
    if path.is_dir():
        file = path / (SEALED if (path / SEALED).is_file() else PLAIN)
    if not file.is_file():
        raise UserError(f"log must be a file or folder of `driftrec import`, got {path}")
    parquet = _pyarrow().parquet
    if not is_sealed(file):
        with parquet.ParquetFile(file) as table:
            yield table
        return
    with (
        unseal(file, read_key(key_file, outside=file.parent), PURPOSE) as stream,
        parquet.ParquetFile(stream) as table,
    ):
        yield table


def held_in_log(path: Path, user: str, key_file: Path | None = None) -> dict[str, Any]:
    """All that an imported log holds on a user.

    Returns:
        ``user`` and ``pseudonym``, and the ``events`` with item, timestamp and value.

    Raises:
        UserError, ValueError: as ``open_log``, and for a missing key.
    """
    compute = _pyarrow().compute
    name = Pseudonyms(read_key(key_file, outside=path if path.is_dir() else path.parent))(user)
    events: list[dict[str, Any]] = []
    with open_log(path, key_file) as table:
        for batch in table.iter_batches(_BATCH):
            own = batch.filter(compute.equal(batch["user_id"], name))
            events += own.select(["item_id", "timestamp", "value"]).to_pylist()
    return {"user": user, "pseudonym": name, "events": events}


# --- reading ------------------------------------------------------------------------------------


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError:
        raise UserError("logs need the library pyarrow: pip install 'driftrec[privacy]'") from None
    return pyarrow


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
    pa = _pyarrow()
    column = {name: (config.columns or {}).get(name, name) for name in _WANTED}
    read = 0
    for batch in _batches(config.log, column):
        where = _Place(config.log, read)
        user = _pseudonyms(batch[column["user_id"]], names, where)
        time = _seconds(batch[column["timestamp"]], where)
        value = pa.array(np.ones(len(user)))
        if column["value"] in batch.schema.names:
            value = where.numbers(batch[column["value"]], "value", "a number")
        item = where.cast(batch[column["item_id"]], pa.string(), "item_id", "text")
        rows = pa.record_batch([user, item, time, value], names=list(_WANTED))
        read += len(rows)
        if refused:
            gone = pa.compute.is_in(rows["user_id"], pa.array(sorted(refused), pa.string()))
            rows = rows.filter(pa.compute.invert(gone))
        counts["rows"] += len(rows)
        counts["left_out"] = read - counts["rows"]
        yield rows


def _batches(file: Path, column: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    pa = _pyarrow()
    if not file.is_file() or file.suffix not in (".csv", ".parquet"):
        raise UserError(f"log must be a .csv or .parquet file, got {file}")
    try:
        if file.suffix == ".parquet":
            with pa.parquet.ParquetFile(file) as table:
                wanted = _check_columns(file, table.schema_arrow.names, column)
                yield from table.iter_batches(_BATCH, columns=wanted)
            return
        with pa.csv.open_csv(
            file,
            pa.csv.ReadOptions(block_size=1 << 20),
            pa.csv.ParseOptions(newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                column_types={column[name]: pa.string() for name in ("user_id", "item_id")},
                strings_can_be_null=True,
                null_values=[""],  # somebody may be called NA
            ),
        ) as reader:
            wanted = _check_columns(file, reader.schema.names, column)
            for batch in reader:
                yield batch.select(wanted)
    except pa.ArrowInvalid:
        # Arrow's message may quote the row: of the people in it nothing may reach a terminal's log.
        kind = "CSV with one kind of value in a column" if file.suffix == ".csv" else "Parquet"
        raise UserError(f"{file}: expected {kind}, got a file with faults") from None


def _check_columns(file: Path, found: Iterable[str], column: Mapping[str, str]) -> list[str]:
    found = list(found)
    for name in _WANTED[:3]:
        if column[name] not in found:  # what is there may be a person: a file without a header
            raise UserError(
                f"{file}: expected a column {column[name]!r} (--columns {name}=NAME where it has "
                f"another name), got {len(found)} columns of other names"
            )
    return [column[name] for name in _WANTED if column[name] in found]


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
        pa = _pyarrow()
        try:
            return self.full(column, name).cast(kind)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise UserError(f"{self.file}: {name} must be {what}, got {column.type}") from None

    def numbers(self, column: pa.Array, name: str, what: str) -> pa.Array:
        """The column as finite numbers."""
        column = self.cast(column, _pyarrow().float64(), name, what)
        finite = np.isfinite(column.to_numpy(zero_copy_only=False))
        if not finite.all():
            row = self.rows + int(finite.argmin()) + 1
            raise UserError(f"{self.file}, row {row}: {name} must be finite, got another number")
        return column


def _pseudonyms(column: pa.Array, names: Pseudonyms, where: _Place) -> pa.Array:
    """Each distinct id is named once a batch; whole numbers have no decimals in any type."""
    pa = _pyarrow()
    if pa.types.is_floating(column.type):  # how pandas keeps whole numbers with gaps
        column = where.cast(column, pa.int64(), "user_id", "text or whole numbers")
    column = where.cast(column, pa.string(), "user_id", "text or whole numbers")
    codes = where.full(pa.compute.utf8_trim_whitespace(column), "user_id").dictionary_encode()
    if "" in (ids := codes.dictionary.to_pylist()):
        row = where.rows + codes.indices.to_pylist().index(ids.index("")) + 1
        raise UserError(f"{where.file}, row {row}: expected a user_id, got an empty cell")
    return pa.array([names(user) for user in ids], pa.string()).take(codes.indices)


def _seconds(column: pa.Array, where: _Place) -> pa.Array:
    pa = _pyarrow()
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        micro = where.full(column, "timestamp").cast(pa.timestamp("us"), safe=False)
        return pa.compute.divide(micro.cast(pa.int64()).cast(pa.float64(), safe=False), 1e6)
    return where.numbers(column, "timestamp", "seconds, or dates and times")


# --- writing ------------------------------------------------------------------------------------


def _write_plain(path: Path, batches: Iterator[pa.RecordBatch]) -> None:
    with path.open("wb") as stream:
        _write(stream, batches)


def _write(stream: Any, batches: Iterator[pa.RecordBatch]) -> None:
    pa = _pyarrow()
    kinds = (pa.string(), pa.string(), pa.float64(), pa.float64())
    schema = pa.schema(list(zip(_WANTED, kinds, strict=True)))
    with pa.parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch.cast(schema))
