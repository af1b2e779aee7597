"""Draw whatever lies in the folders given: training runs, finished benchmarks and sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .benchmark import JOBS
from .errors import UserError
from .figures import reward_curves, save
from .files import check_writable, own_folders
from .grid import SETTINGS
from .report import write_figures
from .results import load_benchmark, score_table, training_curves
from .runs import CONFIG
from .sweep_report import write_sweep_figures
from .sweep_results import advantage_table, is_sweep, load_sweep


def plot(paths: Sequence[Path], out: Path, users: int = 100) -> list[Path]:
    """Draw the run folders' reward curves and models at work, and all figures of the others.

    Args:
        paths: folders of runs, benchmarks and sweeps, in any mixture.
        out: where the figures go; of several benchmarks each gets a folder of its own below it.
        users: whom the models serve, see :mod:`.portraits`; 0 draws the reward curves alone.

    Returns:
        The files written.

    Raises:
        UserError: for a path that is none of these, or a folder that cannot be written.
    """
    runs = [path for path in paths if (path / CONFIG).is_file()]
    benchmarks = [path for path in paths if (path / JOBS / SETTINGS).is_file() or is_sweep(path)]
    for path in paths:
        if path not in runs and path not in benchmarks:
            raise UserError(f"{path} is neither a run folder nor a benchmark")
    check_writable(out)
    written: list[Path] = []
    if runs:
        save(reward_curves(training_curves(runs)), out / "reward_curves.png")
        written.append(out / "reward_curves.png")
        if users:
            from .portraits import write_portraits  # imports torch

            written += write_portraits(runs, out, users)
    # Beside runs, whose figures lie in ``out``, even a single benchmark has a folder of its own.
    folders = own_folders([*benchmarks, *runs[:1]], out)
    for path, folder in zip(benchmarks, folders, strict=False):
        written += _of_sweep(path, folder) if is_sweep(path) else _of_benchmark(path, folder)
    return written


def _of_benchmark(path: Path, folder: Path) -> list[Path]:
    results = load_benchmark(path)
    return write_figures(results, score_table(results), folder)


def _of_sweep(path: Path, folder: Path) -> list[Path]:
    results = load_sweep(path)
    return write_sweep_figures(results, advantage_table(results), folder)
