"""One session under an agent, to look at: as a GIF, a film, or text.

A picture shows the user's true taste beside what the agent takes it to be.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import numpy.typing as npt

from .errors import UserError
from .files import check_writable, write_atomic
from .progress import bar
from .worlds import DEFAULT_ENV, FEEDBACK, check_env_id, check_options

if TYPE_CHECKING:
    from PIL.Image import Image

ENDINGS = (".gif", ".mp4", ".png")
_COLORS = 128  # as many as a GIF of flat pictures needs
_STAY = 3.0  # seconds that the last request stays in a GIF


def watch(
    agent: str | None,
    model: Path | None,
    env_id: str | None,
    seed: int,
    options: Mapping[str, Any],
    out: Path | None = None,
    *,
    frames_per_second: float = 2.0,
    on_step: Callable[[str], object] | None = None,
    progress: bool | None = None,
) -> int:
    """Lets one user live through a session; returns the number of requests.

    Args:
        agent: name of an agent, or None for ``model``.
        model: run folder, or None for ``agent``.
        env_id: of the environment; None for the model's own, or the default.
        seed: of the user.
        options: of the environment.
        out: ``.gif``, ``.mp4`` (needs ffmpeg) or ``.png`` (the last request); None for no pictures.
        frames_per_second: of the film.
        on_step: gets every request as text.
        progress: whether a bar is shown; None where there is a terminal.

    Raises:
        UserError: for an unknown environment or option, both or neither of agent and model, another
            ending of ``out``, or no ffmpeg.
    """
    if (agent is None) == (model is None):
        raise UserError("give either --agent or --model, " + ("not both" if agent else "got none"))
    if not 0 < frames_per_second <= 50:
        raise UserError(f"fps must lie in (0, 50], got {frames_per_second}")
    encoder = None if out is None else _encoder(out)
    env_id, options = _world(model, env_id, options)
    env: Any = gym.make(env_id, render_mode="rgb_array", **options)
    images: list[Image] = []
    try:
        requests = 0
        session = live(env, _agent(agent, model, env, env_id), seed)
        for text in bar(progress, iterable=session, desc="watching", delay=2, leave=False):
            requests += 1
            if on_step is not None:
                on_step(text)
            if out is not None:
                images.append(_flat(env.unwrapped.viewer.picture()))
    finally:
        env.close()
    if out is not None:
        write_atomic(out, lambda path: _write(path, images, frames_per_second, encoder))
    return requests


def live(env: Any, agent: Any, seed: int) -> Iterator[str]:
    """Plays a session; after each request yields it as text, and ``env.render()`` draws it."""
    bare = env.unwrapped
    observation, _ = env.reset(seed=seed)
    state, start, over = None, np.ones(1, bool), False
    while not over:
        slate, state = agent.predict(observation, state, start, deterministic=True)
        bare.show_interest(inferred_interest(agent, state, observation))
        observation, _, left, timed_out, _ = env.step(slate)
        start, over = np.zeros(1, bool), left or timed_out
        yield bare.viewer.text()


def inferred_interest(
    agent: Any, state: Any, observation: Mapping[str, Any]
) -> npt.NDArray[np.float32] | None:
    """[N] how much an agent thinks that the user wants each item; None where it does not say.

    Args:
        agent: one of driftrec's, or a trained model.
        state: as ``agent.predict`` of ``observation`` returned it.
        observation: of one user.
    """
    from driftrec.agents import Agent
    from driftrec.agents.static import Random

    batch = {key: np.asarray(value)[None] for key, value in observation.items()}
    if isinstance(agent, Random):
        return None
    if isinstance(agent, Agent):
        try:
            return np.asarray(agent.act(state, batch)[0], np.float32)
        except NotImplementedError:
            return None
    policy: Any = getattr(agent, "policy", None)
    if not hasattr(policy, "advance"):
        return None
    import torch

    with torch.no_grad():  # from the H slates anew: the state that predict keeps is left alone
        tensors = {key: torch.as_tensor(value) for key, value in batch.items()}
        output, _ = policy.advance(tensors, None, None)
        return np.asarray(output.scores[0, 0].numpy(), np.float32)


def _world(
    model: Path | None, env_id: str | None, options: Mapping[str, Any]
) -> tuple[str, dict[str, Any]]:
    if model is not None:
        from .runs import read_run

        trained = read_run(model)["train"]
        told = {k: v for k, v in trained["env_options"].items() if k != FEEDBACK}
        env_id, options = env_id or trained["env"], {**told, **options}
    known = check_env_id(env_id or DEFAULT_ENV)
    check_options(known, options)
    if FEEDBACK in options:
        raise UserError(f"{FEEDBACK} is spoiled for batches of users, not for one who is watched")
    return known, {**options, "diagnostics": False}


def _agent(agent: str | None, model: Path | None, env: Any, env_id: str) -> Any:
    if model is not None:
        from .runs import load_agent

        return load_agent(model, env, env_id)
    from driftrec import agents

    return agents.make(str(agent), env)


def _encoder(out: Path) -> str | None:
    """Path of ffmpeg where the film needs it; refuses what cannot be written before the session."""
    ending = out.suffix.lower()
    if ending not in ENDINGS:
        raise UserError(f"out must end in one of {', '.join(ENDINGS)}, got {str(out)!r}")
    check_writable(out.parent)
    if ending != ".mp4":
        return None
    found = shutil.which("ffmpeg")
    if found:
        return found
    try:
        import imageio_ffmpeg  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise UserError(
            "an .mp4 needs ffmpeg: install it or the package imageio-ffmpeg, or choose a .gif"
        ) from None
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def _flat(pixels: npt.NDArray[np.uint8]) -> Image:
    from PIL import Image as Pictures

    return Pictures.fromarray(pixels).quantize(_COLORS, dither=Pictures.Dither.NONE)


def _write(path: Path, images: list[Image], rate: float, encoder: str | None) -> None:
    if encoder is not None:
        _encode(path, images, rate, encoder)
    elif path.suffix.lower() == ".png":
        images[-1].save(path)
    else:
        stays = [1000 / rate] * (len(images) - 1) + [1000 * _STAY]
        images[0].save(path, save_all=True, append_images=images[1:], duration=stays, loop=0)


def _encode(path: Path, images: list[Image], rate: float, encoder: str) -> None:
    width, height = images[0].size
    command = [encoder, "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24"]
    command += ["-s", f"{width}x{height}", "-r", str(rate), "-i", "-", "-an"]
    # Players want an even size and this pixel format.
    command += ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", str(path)]
    pixels = b"".join(image.convert("RGB").tobytes() for image in images)
    done = subprocess.run(command, input=pixels, capture_output=True)
    if done.returncode:
        raise UserError(f"ffmpeg failed: {done.stderr.decode(errors='replace').strip()}")
