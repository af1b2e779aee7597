"""Facts about where jobs run: what comes out does not depend on it, and what fails is named."""

from __future__ import annotations

import os
import sys
from concurrent.futures import BrokenExecutor
from pathlib import Path

import pytest

from driftrec.experiments.engines import local, make_engine
from driftrec.experiments.errors import UserError


def test_an_engine_that_does_not_exist_is_refused() -> None:
    assert make_engine() is local
    with pytest.raises(UserError, match="engine must be one of local, ray, got 'dask'"):
        make_engine("dask")
    with pytest.raises(UserError, match="address needs engine ray, got engine local and 'auto'"):
        make_engine("local", "auto")


def test_ray_is_asked_for_where_it_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(UserError, match=r"pip install 'driftrec\[ray\]'"):
        make_engine("ray")


def test_ray_needs_workers() -> None:
    pytest.importorskip("ray", reason="Ray is not installed")
    too_few = pytest.raises(UserError, match="workers must be at least 1 with engine ray, got 0")
    with too_few, make_engine("ray")(0):
        pass


def test_ray_gives_what_the_job_gives_or_raises_what_it_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    with make_engine("ray")(2) as pool:
        results = [pool.submit(pow, 2, power) for power in range(5)]
        assert [future.result() for future in results] == [1, 2, 4, 8, 16]
        assert pool.submit(os.getenv, "OMP_NUM_THREADS").result() == "1"
        assert pool.submit(os.getpid).result() != os.getpid()
        failure = pool.submit(os.listdir, str(tmp_path / "nowhere")).exception()
        assert isinstance(failure, FileNotFoundError)
        assert isinstance(pool.submit(os._exit, 3).exception(), BrokenExecutor)
    assert not ray.is_initialized() and os.environ["OMP_NUM_THREADS"] == "2"
