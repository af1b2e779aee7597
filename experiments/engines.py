"""Where jobs run: worker processes of this machine, or Ray's, on one machine or on many.

An engine is a function from a number of workers to a context that gives a
``concurrent.futures.Executor``; when the context is left, its workers are gone. Every worker has
one thread, so an engine decides how long the jobs take and never what comes out.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

from .errors import UserError

Engine = Callable[[int], AbstractContextManager[Executor]]
ENGINES = ("local", "ray")

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def make_engine(name: str = "local", address: str | None = None) -> Engine:
    """The engine of that name.

    Args:
        name: "local" or "ray".
        address: of a running Ray cluster, as ``ray.init`` takes it; None starts Ray on this machine
            for the time of the jobs.

    Raises:
        UserError: for another name, an address without Ray, or where Ray is not installed.
    """
    if name not in ENGINES:
        raise UserError(f"engine must be one of {', '.join(ENGINES)}, got {name!r}")
    if name == "local":
        if address is not None:
            raise UserError(f"address needs engine ray, got engine local and {address!r}")
        return local
    try:
        import ray  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(f"engine ray needs Ray: pip install 'driftrec[ray]' ({error})") from None
    return partial(on_ray, address=address)


@contextmanager
def local(workers: int) -> Iterator[Executor]:
    """A pool of fresh processes that are gone when the block is left, however it is left.

    Args:
        workers: processes; 0 does the jobs in this process.
    """
    if workers == 0:
        yield _Inline()
        return
    with _one_thread():  # workers inherit it before torch loads
        pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"))
        try:
            yield pool
        except BaseException:
            for child in multiprocessing.active_children():
                child.terminate()
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def on_ray(workers: int, address: str | None = None) -> Iterator[Executor]:
    """Tasks of one core each on Ray.

    Args:
        workers: cores of a Ray started here; with an ``address`` the cluster has its own.
        address: of a running cluster, whose machines must share the folder of results.

    Raises:
        UserError: for no workers, or where there is no cluster at ``address``.
    """
    if workers < 1:
        raise UserError(f"workers must be at least 1 with engine ray, got {workers}")
    import ray

    with _one_thread(RAY_USAGE_STATS_ENABLED="0"):  # Ray tells its makers nothing
        own: dict[str, Any] = {}
        if address is None:  # what jobs hand over is small: it goes by files
            own = {"num_cpus": workers, "include_dashboard": False, "object_store_memory": 2**27}
        try:
            ray.init(
                address=address or "local", logging_level=logging.ERROR, log_to_driver=False, **own
            )
        except ConnectionError as error:
            raise UserError(f"no Ray cluster at {address!r}: {error}") from None
        pool = _Ray()
        try:
            yield pool
        finally:
            pool.shutdown()
            ray.shutdown()


@contextmanager
def _one_thread(**more: str) -> Iterator[None]:
    names = _ONE_THREAD | more
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


class _Inline(Executor):
    """Does what is submitted at once, in this process."""

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class _Ray(Executor):
    """Submits to the Ray that this process is connected to; failures look as a pool's do."""

    def __init__(self) -> None:
        self._running: dict[Future[Any], Any] = {}

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        import ray

        # No second try: what a dead worker leaves undone the same command does when given again.
        task = ray.remote(num_cpus=1, max_retries=0)(_alone).remote(fn, args, kwargs)
        future: Future[Any] = Future()
        self._running[future] = task
        task.future().add_done_callback(partial(self._settle, future))
        return future

    def _settle(self, future: Future[Any], done: Future[Any]) -> None:
        from ray.exceptions import RayTaskError

        error = done.exception()
        self._running.pop(future, None)
        if error is None:
            future.set_result(done.result())
        elif isinstance(error, RayTaskError):
            future.set_exception(error.cause)  # what the job itself raised
        else:
            future.set_exception(BrokenExecutor(str(error)))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        import ray

        for task in list(self._running.values()):
            ray.cancel(task, force=True)


def _alone(fn: Any, args: Any, kwargs: Any) -> Any:
    """Runs in a Ray worker, on whatever machine, before torch loads there."""
    os.environ.update(_ONE_THREAD)
    return fn(*args, **kwargs)
