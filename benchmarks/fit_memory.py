"""How much memory does reading a long log take? Prints the peak for logs of growing length.

    python benchmarks/fit_memory.py                    # 1 and 10 million rows, CSV and Parquet
    python benchmarks/fit_memory.py --rows 30000000

Each log is written in a random order of users, so that no user's events lie together, and read in
a process of its own: the peak is that of the process above what its imports take.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv, parquet

ITEMS, EVENTS_PER_USER, CHUNK = 20_000, 100, 500_000


def write_log(path: Path, rows: int, seed: int = 0) -> None:
    """A log of ``rows`` events, as many users as make 100 events each."""
    rng = np.random.default_rng(seed)
    schema = pa.schema(
        [("user_id", pa.string()), ("item_id", pa.string()), ("timestamp", pa.int64())]
    )
    open_writer = csv.CSVWriter if path.suffix == ".csv" else parquet.ParquetWriter
    with open_writer(path, schema) as writer:
        for start in range(0, rows, CHUNK):
            size = min(CHUNK, rows - start)
            columns = [
                pa.array(rng.integers(0, max(rows // EVENTS_PER_USER, 1), size)).cast(pa.string()),
                pa.array((ITEMS * rng.random(size) ** 2).astype(np.int64)).cast(pa.string()),
                pa.array(1_600_000_000 + rng.integers(0, 30_000_000, size)),
            ]
            writer.write_table(pa.table(columns, schema=schema))


def read(path: Path, max_events: int, answer: multiprocessing.Queue) -> None:
    """Reads a log and tells the memory that it took."""
    import pandas  # noqa: F401  (imports are not the log's)

    from driftrec.experiments.fitting.reading import read_log

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    log = read_log(path, [str(i) for i in range(ITEMS)], max_events=max_events)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    answer.put((log.rows, len(log), log.num_users, log.share, (peak - before) / 1024))


def main() -> None:
    """Writes, reads, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 10_000_000])
    parser.add_argument("--max-events", type=int, default=2_000_000)
    args = parser.parse_args()
    spawn = multiprocessing.get_context("spawn")
    print(f"{'log':<10} {'rows':>12} {'kept':>10} {'users':>8} {'share':>7} {'peak, MiB':>10}")
    with tempfile.TemporaryDirectory() as folder:
        for rows in args.rows:
            for kind in ("csv", "parquet"):
                path = Path(folder) / f"log.{kind}"
                write_log(path, rows)
                answer = spawn.Queue()
                process = spawn.Process(target=read, args=(path, args.max_events, answer))
                process.start()
                total, kept, users, share, peak = answer.get()
                process.join()
                path.unlink()
                print(
                    f"{kind:<10} {total:>12,} {kept:>10,} {users:>8,} {share:>7.3f} {peak:>10.0f}"
                )


if __name__ == "__main__":
    main()
