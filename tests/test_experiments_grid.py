"""Facts about grids of jobs: order, resumption, failures. Jobs run in real worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from driftrec.experiments.errors import UserError
from driftrec.experiments.grid import Job, claim, fingerprint, read_result, run_jobs

SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, {here!r})
import test_experiments_grid as jobs
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    print(jobs.run_jobs(jobs.chain(), jobs.work, folder, workers=1), flush=True)
"""


def work(job: Job, folder: Path) -> Mapping[str, Any]:
    """Adds up what it needs; a file called ``slow`` in the folder makes later jobs hang."""
    if job.spec.get("fail"):
        raise ValueError("by design")
    if job.spec.get("die"):
        os._exit(3)
    if (folder / "slow").exists() and job.needs:
        time.sleep(600)
    with (folder / "log").open("a") as log:
        log.write(job.name + "\n")
    total = job.spec["value"] + sum(read_result(n, folder)["total"] for n in job.needs)
    return {"total": total, "threads": os.environ["OMP_NUM_THREADS"]}


def chain() -> list[Job]:
    return [
        Job("z/last", "add", {"value": 100}, needs=("a/one", "a/two")),
        Job("a/one", "add", {"value": 1}),
        Job("a/two", "add", {"value": 2}, seconds=5),
    ]


def worker_module() -> Any:
    """This file under a name that a spawned worker can import."""
    sys.path.insert(0, str(Path(__file__).parent))
    import test_experiments_grid

    return test_experiments_grid


def test_jobs_wait_for_what_they_need_and_run_once(tmp_path: Path) -> None:
    jobs = worker_module()
    assert run_jobs(chain(), jobs.work, tmp_path) == 3
    assert read_result("z/last", tmp_path) == {"total": 103, "threads": "1"}
    assert run_jobs(chain(), jobs.work, tmp_path) == 0
    assert sorted((tmp_path / "log").read_text().split()) == ["a/one", "a/two", "z/last"]


def test_a_killed_grid_does_only_what_is_left(tmp_path: Path) -> None:
    (tmp_path / "slow").touch()
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(here=str(Path(__file__).parent)))
    command = [sys.executable, str(script), str(tmp_path)]
    # A shell's background job ignores SIGINT and so would its children; a user's terminal does not.
    listen = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = subprocess.Popen(command, stderr=subprocess.PIPE, preexec_fn=listen)
    deadline = time.monotonic() + 300
    while not all((tmp_path / "a" / f"{n}.json").exists() for n in ("one", "two")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    assert process.wait(300) != 0
    assert not (tmp_path / "z" / "last.json").exists()
    (tmp_path / "slow").unlink()
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    assert done.stdout.split() == ["1"]
    assert (tmp_path / "log").read_text().split() == ["a/two", "a/one", "z/last"]


def test_jobs_can_run_in_this_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    done: list[int] = []

    def count() -> None:
        done.append(len(list(tmp_path.glob("*/*.json"))))

    assert run_jobs(chain(), work, tmp_path, workers=0, on_done=count) == 3
    assert read_result("z/last", tmp_path)["total"] == 103 and done == [1, 2, 3]


def test_a_failing_job_is_named_and_others_keep_their_results(tmp_path: Path) -> None:
    bad = Job("bad", "add", {"fail": True}, needs=("a/one",))
    with pytest.raises(UserError, match="job bad failed: ValueError: by design"):
        run_jobs([*chain()[1:], bad], worker_module().work, tmp_path, workers=1)
    assert read_result("a/one", tmp_path)["total"] == 1


def test_a_dead_worker_is_reported(tmp_path: Path) -> None:
    bad = Job("bad", "add", {"die": True})
    with pytest.raises(UserError, match="a worker died during bad"):
        run_jobs([bad], worker_module().work, tmp_path, workers=1)


def test_a_need_that_no_job_gives_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no job gives: \['nothing'\]"):
        run_jobs([Job("a", "add", {"value": 1}, needs=("nothing",))], work, tmp_path)


def test_a_folder_is_continued_with_the_same_settings_only(tmp_path: Path) -> None:
    claim(tmp_path, {"users": 10, "seeds": (1, 2)}, {"versions": {}})
    claim(tmp_path, {"seeds": (1, 2), "users": 10}, {"versions": {"x": "later"}})
    with pytest.raises(UserError, match=r"other settings \(users differ\): use a new --out"):
        claim(tmp_path, {"users": 11, "seeds": (1, 2)}, {})


def test_the_fingerprint_does_not_depend_on_the_order_of_keys() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
