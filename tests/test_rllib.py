"""RLlib trains on an environment of this project, by the script that the how-to names."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "train_rllib.py"
NEEDED = ("ray", "tree", "lz4", "ormsgpack", "tensorboardX", "pyarrow")
absent = [name for name in NEEDED if not find_spec(name)]


@pytest.mark.skipif(bool(absent), reason=f"the extra 'rllib' is not installed: no {absent}")
def test_two_iterations_of_rllibs_ppo_run_on_news() -> None:
    command = [sys.executable, str(SCRIPT), "--iterations", "2", "--batch", "160"]
    command += ["--users", "2", "--horizon", "10"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert [line["iteration"] for line in lines] == [1, 2]
    assert lines[0]["steps"] >= 160 and lines[1]["steps"] >= 2 * 160
    assert all(math.isfinite(line["return"]) and line["return"] >= 0 for line in lines)
