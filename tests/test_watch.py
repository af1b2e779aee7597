"""``driftrec watch``: a session as text, picture or film."""

import stat
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from driftrec.envs import DriftEnv
from driftrec.experiments.cli import app
from driftrec.experiments.watch import live, watch

SHORT = {"slate_size": 3, "history": 4, "horizon": 5}
OPTIONS = ["--slate-size", "3", "--horizon", "5", "--env-option", "history=4"]


def call(*arguments):
    return CliRunner().invoke(app, ["watch", *map(str, arguments), *OPTIONS])


def test_a_gif_has_a_frame_for_every_request(tmp_path):
    out = tmp_path / "films" / "episode.gif"
    result = call("--agent", "moving-average", "--seed", 3, "--out", out)
    assert result.exit_code == 0, result.stderr
    requests = int(result.stdout.split()[0])
    with Image.open(out) as film:
        assert film.n_frames == requests >= 3
        assert film.size == (1200, 675)
        assert film.info["duration"] == 500


def test_without_a_file_the_session_is_told(tmp_path):
    result = call("--agent", "popularity", "--seed", 3)
    assert result.exit_code == 0, result.stderr
    assert "request 1 of 5" in result.stdout
    assert "agent  " in result.stdout


def test_what_cannot_be_watched_is_refused_before_the_session(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    for arguments, told in (
        (["--agent", "random", "--out", tmp_path / "a.avi"], "out must end in one of .gif, .mp4"),
        (["--agent", "random", "--out", tmp_path / "a.mp4"], "an .mp4 needs ffmpeg: install it"),
        ([], "give either --agent or --model, got none"),
        (["--agent", "random", "--fps", "0"], "fps must lie in (0, 50], got 0.0"),
        (["--agent", "nobody"], "agent must be one of"),
        (["--agent", "random", "--env", "driftrec/Opera-v0"], "env must be one of"),
        (["--agent", "random", "--env-option", "feedback=lost:0.3"], "feedback is spoiled for"),
    ):
        result = call(*arguments)
        assert result.exit_code == 2
        assert told in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_film_goes_through_ffmpeg(tmp_path, monkeypatch):
    fake = tmp_path / "ffmpeg"  # writes down how many bytes it was given
    fake.write_text(
        f"#!{sys.executable}\nimport sys\n"
        "open(sys.argv[-1], 'w').write(str(len(sys.stdin.buffer.read())))\n"
    )
    fake.chmod(fake.stat().st_mode | stat.S_IEXEC)
    monkeypatch.setenv("PATH", str(tmp_path))
    out = tmp_path / "episode.mp4"
    requests = watch("random", None, "driftrec/Video-v0", 3, SHORT, out)
    assert int(out.read_text()) == requests * 1200 * 675 * 3


@pytest.mark.parametrize(("name", "offers"), [("moving-average", True), ("random", False)])
def test_the_agents_view_is_drawn_where_it_has_one(name, offers):
    from driftrec import agents

    env = DriftEnv("video", render_mode="ansi", **SHORT)
    for text in live(env, agents.make(name, env), seed=0):
        assert ("agent  " in text) == offers


def test_a_trained_models_view_is_drawn(tmp_path):
    from driftrec.agents.learners import make_learner
    from driftrec.envs import DriftVectorEnv
    from driftrec.envs.sb3 import BatchVecEnv

    model = make_learner("interest-attention", "ppo", BatchVecEnv(DriftVectorEnv(2, **SHORT)))
    env = DriftEnv(render_mode="ansi", **SHORT)
    told = []
    for text in live(env, model, seed=0):
        told.append(text)
        view = env.viewer.scene.interest
        assert view.shape == (env.catalog.num_topics,)
        assert np.isfinite(view).all()
    assert told
