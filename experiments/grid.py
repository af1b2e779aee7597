"""A grid of independent jobs among several workers, resumable after any interruption.

A job is done when its result file exists; the file is written last and renamed into place. So
whatever ends a run (Ctrl-C, a full disk, a killed machine), starting it again does what is left.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .engines import Engine, local
from .errors import UserError
from .files import read_json, write_json
from .progress import bar, note

SETTINGS = "settings.json"
_REFRESH = 1.0  # seconds between looks at running jobs


@dataclass(frozen=True)
class Job:
    """One piece of work that needs nothing but its spec and the results it names.

    Attributes:
        name: path of its result below the folder, without the suffix.
        kind: which function of the runner does it.
        spec: plain values that decide the outcome.
        needs: names of jobs that come before it: it reads what they leave.
        seconds: roughly how long it takes; long jobs start first.
    """

    name: str
    kind: str
    spec: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    seconds: float = 1.0

    def result_path(self, folder: Path) -> Path:
        """The file whose existence says that the job is done."""
        return folder / f"{self.name}.json"

    def done(self, folder: Path) -> bool:
        """Whether the job has a result."""
        return self.result_path(folder).is_file()


Runner = Callable[[Job, Path], Mapping[str, Any]]
Share = Callable[[Job, Path], float]


def run_job(run: Runner, job: Job, folder: Path) -> None:
    """Do one job and write its result: what a worker executes."""
    write_json(job.result_path(folder), dict(run(job, folder)))


def read_result(name: str, folder: Path) -> dict[str, Any]:
    """The result of a job that is done."""
    return read_json(folder / f"{name}.json")


def run_jobs(
    jobs: Sequence[Job],
    run: Runner,
    folder: Path,
    *,
    workers: int = 2,
    progress: bool | None = False,
    share: Share = lambda job, folder: 0.0,
    engine: Engine = local,
    on_done: Callable[[], None] = lambda: None,
) -> int:
    """Do every job that has no result yet.

    Args:
        jobs: the grid; results do not depend on the order.
        run: does a job and returns its result as plain values. A function of a module, because
            workers import it.
        folder: where results go.
        workers: processes, each with one thread; 0 does the jobs in this process.
        progress: True draws a bar, False is silent; None draws it on a terminal, else prints lines.
        share: how much of a running job is done, in [0, 1], for the bar.
        engine: where the workers are.
        on_done: called after each job.

    Returns:
        How many jobs were done now.

    Raises:
        UserError: where a job fails or a worker dies; results so far are kept.
        KeyboardInterrupt: after the workers have been stopped.
    """
    todo = sorted((j for j in jobs if not j.done(folder)), key=lambda j: -j.seconds)
    finished = {job.name for job in jobs} - {job.name for job in todo}
    running: dict[Future[None], Job] = {}
    with _bar(jobs, folder, progress) as shown, engine(workers) as pool:
        queue = list(todo)
        while queue or running:
            for job in [j for j in queue if finished.issuperset(j.needs)]:
                if len(running) >= max(workers, 1):
                    break
                queue.remove(job)
                running[pool.submit(run_job, run, job, folder.resolve())] = job
            if not running:
                missing = {need for job in queue for need in job.needs} - finished
                raise ValueError(f"jobs need results that no job gives: {sorted(missing)}")
            done, _ = wait(running, timeout=_REFRESH, return_when=FIRST_COMPLETED)
            for future in done:
                job = running.pop(future)
                _raise_failure(future, job, folder)
                finished.add(job.name)
                on_done()
                note(progress, f"[{len(finished)}/{len(jobs)}] {job.name}")
            _show(shown, jobs, finished, running.values(), folder, share)
    return len(todo)


def _raise_failure(future: Future[None], job: Job, folder: Path) -> None:
    error = future.exception()
    if error is None:
        return
    if isinstance(error, BrokenExecutor):
        raise UserError(
            f"a worker died during {job.name} (out of memory?): "
            f"the same command continues in {folder.parent}"
        ) from error
    raise UserError(f"job {job.name} failed: {type(error).__name__}: {error}") from error


@contextmanager
def _bar(jobs: Sequence[Job], folder: Path, progress: bool | None) -> Iterator[Any]:
    shown = bar(
        progress,
        total=sum(job.seconds for job in jobs),
        initial=sum(job.seconds for job in jobs if job.done(folder)),
        bar_format="{percentage:3.0f}%|{bar:20}| {elapsed}<{remaining} {postfix}",
    )
    try:
        yield shown
    finally:
        shown.close()


def _show(
    shown: Any, jobs: Sequence[Job], finished: set[str], running: Any, folder: Path, share: Share
) -> None:
    if shown.disable:
        return
    done = sum(job.seconds for job in jobs if job.name in finished)
    partly = sum(job.seconds * share(job, folder) for job in running)
    shown.set_postfix_str(
        f"{len(finished)}/{len(jobs)} jobs, now {', '.join(job.name for job in running) or 'done'}",
        refresh=False,
    )
    shown.update(max(0.0, done + partly - shown.n))


def fingerprint(settings: Mapping[str, Any]) -> str:
    """Hash of plain settings, the same in every process."""
    text = json.dumps(settings, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def claim(folder: Path, settings: Mapping[str, Any], record: Mapping[str, Any]) -> None:
    """Take ``folder`` for a grid with these settings, or continue the one that is there.

    Args:
        folder: where results go.
        settings: plain values that decide the results.
        record: what else to write beside them (versions and the like).

    Raises:
        UserError: where the folder holds results of other settings, naming what differs.
    """
    path, settings = folder / SETTINGS, json.loads(json.dumps(settings))  # tuples become lists
    if not path.exists():
        write_json(path, {"fingerprint": fingerprint(settings), "settings": settings, **record})
        return
    there = read_json(path)
    if there.get("fingerprint") == fingerprint(settings):
        return
    old = there.get("settings", {})
    keys = sorted(k for k in {*old, *settings} if old.get(k) != settings.get(k))
    raise UserError(
        f"{folder} holds results of other settings ({', '.join(keys)} differ): "
        "use a new --out, or remove the folder"
    )
