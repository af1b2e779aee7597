"""Files of events: tables of one's own and what ``driftrec import`` wrote, read in batches."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftrec.simulators.privacy import read_key
from driftrec.simulators.sealed import is_sealed, unseal

from .errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa

SEALED, PLAIN = "log.sealed", "log.parquet"
PURPOSE = "log"
COLUMNS = ("user_id", "item_id", "timestamp", "value")
BATCH = 1 << 16  # rows at a time


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
    parquet = need_pyarrow().parquet
    if not is_sealed(file):
        with parquet.ParquetFile(file) as table:
            yield table
        return
    with (
        unseal(file, read_key(key_file, outside=file.parent), PURPOSE) as stream,
        parquet.ParquetFile(stream) as table,
    ):
        yield table


def log_batches(log: Path, column: Mapping[str, str]) -> Iterator[pa.RecordBatch]:
    """A log's columns, some rows at a time; nothing of a row stands in an error.

    Args:
        log: CSV or Parquet file; or a log of ``import_log``, decrypted by the key of the
            environment.
        column: names in the file by what they are: user_id, item_id and timestamp, which must be
            there, and value, which may be.

    Raises:
        UserError: for another kind of file, one with faults, or a column that is missing.
        ValueError: for a bad key.
    """
    if is_imported(log):
        with open_log(log) as table:
            wanted = _check_columns(log, table.schema_arrow.names, column)
            yield from table.iter_batches(BATCH, columns=wanted)
        return
    pa = need_pyarrow()
    if not log.is_file() or log.suffix not in (".csv", ".parquet"):
        raise UserError(f"log must be a .csv or .parquet file, got {log}")
    try:
        if log.suffix == ".parquet":
            with pa.parquet.ParquetFile(log) as table:
                wanted = _check_columns(log, table.schema_arrow.names, column)
                yield from table.iter_batches(BATCH, columns=wanted)
            return
        with pa.csv.open_csv(log) as reader:
            wanted = _check_columns(log, reader.schema.names, column)
        with pa.csv.open_csv(
            log,
            pa.csv.ReadOptions(block_size=1 << 20),
            pa.csv.ParseOptions(newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                include_columns=wanted,
                column_types={column[name]: pa.string() for name in ("user_id", "item_id")},
                strings_can_be_null=True,
                null_values=[""],  # somebody may be called NA
            ),
        ) as reader:
            yield from reader
    except pa.ArrowInvalid:
        # Arrow's message may quote the row: of the people in it nothing may reach a terminal's log.
        kind = "CSV with one kind of value in a column" if log.suffix == ".csv" else "Parquet"
        raise UserError(f"{log}: expected {kind}, got a file with faults") from None


def _check_columns(file: Path, found: Iterable[str], column: Mapping[str, str]) -> list[str]:
    found = list(found)
    for name in COLUMNS[:3]:
        if column[name] not in found:  # what is there may be a person: a file without a header
            raise UserError(
                f"{file}: expected a column {column[name]!r} (--column {name}=NAME where it has "
                f"another name), got {len(found)} columns of other names"
            )
    return [column[name] for name in COLUMNS if column.get(name) in found]


def need_pyarrow() -> Any:
    """The library, with the parts that logs need.

    Raises:
        UserError: where it is missing.
    """
    try:
        import pyarrow
        import pyarrow.compute
        import pyarrow.csv
        import pyarrow.parquet
    except ImportError:
        raise UserError("logs need the library pyarrow: pip install 'driftrec[privacy]'") from None
    return pyarrow
