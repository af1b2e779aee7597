"""Rows of a delimited text file, whose faults name file, line and column."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Attributes:
        file: where it stands.
        line: number of its first line in the file, the header being line 1.
        cells: text by column.
    """

    file: Path
    line: int
    cells: dict[str, str]

    def text(self, column: str) -> str:
        """The text in a column.

        Raises:
            ValueError: if it is empty.
        """
        text = self.cells[column].strip()
        if not text:
            raise self.fault(column, "a text that is not empty")
        return text

    def number(self, column: str, low: float = -math.inf) -> float:
        """The number in a column.

        Raises:
            ValueError: if it is no finite number of at least ``low``.
        """
        try:
            number = float(self.cells[column])
        except ValueError:
            number = math.nan
        if not math.isfinite(number) or number < low:
            bound = "" if low == -math.inf else f" >= {low:g}"
            raise self.fault(column, f"a number{bound}")
        return number

    def fault(self, column: str, expected: str) -> ValueError:
        """The error for this row."""
        return ValueError(
            f"{self.file}, line {self.line}, column {column!r}: "
            f"expected {expected}, got {self.cells[column]!r}"
        )


def read_rows(file: Path, columns: Sequence[str], atomic: bool = False) -> Iterator[Row]:
    """The rows of a file with a header, one at a time; empty lines are passed over.

    Args:
        file: UTF-8 text.
        columns: names that the header must hold; it may hold more.
        atomic: RecBole's layout, tab-separated with no quoting and header cells ``name:type``,
            in place of comma-separated values.

    Raises:
        ValueError: if the file is absent, has no rows or no such column, or a row does not have a
            cell for every column.
    """
    if not file.is_file():
        raise ValueError(f"{file}: expected a file with columns {', '.join(columns)}, got none")
    header: list[str] = []
    line = 0
    row = None
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            reader = (
                csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
                if atomic
                else csv.reader(stream, strict=True)
            )
            for cells in reader:
                first, line = line + 1, reader.line_num
                if not cells:
                    continue
                if not header:
                    header = _header(file, first, cells, columns, atomic)
                    continue
                if len(cells) != len(header):
                    raise ValueError(
                        f"{file}, line {first}: expected {len(header)} cells "
                        f"({', '.join(header)}), got {len(cells)}"
                    )
                row = Row(file, first, dict(zip(header, cells, strict=True)))
                yield row
    except csv.Error as error:
        raise ValueError(f"{file}, line {line + 1}: expected CSV, got: {error}") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}, line {_undecodable(file)}: expected UTF-8") from error
    if row is None:
        raise ValueError(f"{file}: expected rows under {','.join(header or columns)}, got none")


def _header(
    file: Path, line: int, cells: list[str], columns: Sequence[str], atomic: bool
) -> list[str]:
    header = [cell.strip().partition(":")[0] if atomic else cell.strip() for cell in cells]
    for column in columns:
        if column not in header:
            raise ValueError(
                f"{file}, line {line}: expected a column {column!r}, got only {', '.join(header)}"
            )
    return header


def _undecodable(file: Path) -> int:
    """Number of the first line that is not UTF-8."""
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:
                line.decode()
            except UnicodeDecodeError:
                return number
    return 0
