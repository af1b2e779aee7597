"""Environments by id and options: made, checked and described the same way everywhere."""

from __future__ import annotations

import ast
import hashlib
import inspect
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from .errors import UserError

if TYPE_CHECKING:
    from driftrec.envs import DriftVectorEnv
    from driftrec.simulators.catalog import Catalog

DEFAULT_ENV = "driftrec/Video-v0"
NAMESPACE = "driftrec/"
PEERS = {
    "sardine/": ("driftrec.envs.sardine", "SardineVectorEnv", "sardine-rec", "peers"),
    "recsim/": ("driftrec.envs.recsim", "RecSimVectorEnv", "recsim-no-tf", "recsim"),
}
"""Environments of others by the beginning of their ids: module, class, package and extra."""

FEEDBACK = "feedback"
"""The option of every environment of this project that says what agents are told wrongly."""

# What the id or the caller decides, not the user.
_NOT_OPTIONS = {"self", "env_id", "num_envs", "autoreset_mode", "render_mode", "copy"}


def env_ids() -> list[str]:
    """Ids of this project's environments."""
    import driftrec.envs  # noqa: F401  (registers them)

    return _ids_that_begin(NAMESPACE)


def check_env_id(env_id: str) -> str:
    """The id without a module prefix.

    Raises:
        UserError: where no such environment is registered, or its package is not installed.
    """
    bare = env_id.rpartition(":")[2]
    known = env_ids()
    if _peer(bare) is not None:
        known = _ids_that_begin(bare.partition("/")[0] + "/")
    if bare not in known:
        raise UserError(f"env must be one of {', '.join(known)}, got {env_id!r}")
    return bare


def _ids_that_begin(namespace: str) -> list[str]:
    import gymnasium as gym

    return sorted(name for name in gym.registry if name.startswith(namespace))


def _peer(env_id: str) -> Any:
    """The vector environment that wraps an environment of others; None for one of this project.

    Raises:
        UserError: where its package is not installed.
    """
    for namespace, (module, name, package, extra) in PEERS.items():
        if env_id.startswith(namespace):
            try:
                return getattr(import_module(module), name)
            except ModuleNotFoundError as error:
                raise UserError(
                    f"env {env_id!r} needs {package}: pip install 'driftrec[{extra}]' ({error})"
                ) from None
    return None


def known_options(env_id: str) -> list[str]:
    """Names of the options that the environment takes, sorted."""
    import gymnasium as gym
    from gymnasium.envs.registration import load_env_creator

    bare = check_env_id(env_id)
    entry = _peer(bare) or gym.spec(bare).vector_entry_point
    creator = load_env_creator(entry) if isinstance(entry, str) else entry
    parameters = inspect.signature(creator).parameters if creator else {}
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    named = {name for name, parameter in parameters.items() if parameter.kind in kinds}
    return sorted((named - _NOT_OPTIONS) | ({FEEDBACK} if _peer(bare) is None else set()))


def check_options(env_id: str, options: Mapping[str, Any]) -> None:
    """Refuse options that the environment does not have.

    Raises:
        UserError: naming the option and those that exist.
    """
    known = known_options(env_id)
    for name in options:
        if name not in known:
            raise UserError(f"unknown env option {name!r}: {env_id} has {', '.join(known)}")


def make_batch(
    env_id: str, num_envs: int, options: Mapping[str, Any] | None = None
) -> DriftVectorEnv:
    """The native batch of ``num_envs`` users.

    Raises:
        UserError: for an unknown id or option.
        ValueError: for an option's value that the environment refuses.
    """
    import gymnasium as gym

    from driftrec.envs.spoiled import spoil

    if num_envs < 1:
        raise UserError(f"users must be at least 1, got {num_envs}")
    bare = check_env_id(env_id)
    check_options(bare, options or {})
    peer = _peer(bare)
    if peer is not None:
        return cast("DriftVectorEnv", peer(bare, num_envs, **(options or {})))
    # The oracle's reward costs a pass over the catalogue at every step: only where asked for.
    options = {"diagnostics": False, **(options or {})}
    feedback = options.pop(FEEDBACK, "true")
    env = gym.make_vec(bare, num_envs=num_envs, **options)
    return cast("DriftVectorEnv", spoil(env, feedback))


def parse_options(pairs: Sequence[str]) -> dict[str, Any]:
    """Read ``key=value`` pairs; a value that is a Python literal becomes that.

    Raises:
        UserError: where a pair has no ``=``.

    Example:
        >>> parse_options(["slate_size=5", "drift=gradual"])
        {'slate_size': 5, 'drift': 'gradual'}
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        name, separator, value = pair.partition("=")
        if not separator or not name:
            raise UserError(f"an option must look like key=value, got {pair!r}")
        try:
            options[name.strip().replace("-", "_")] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            options[name.strip().replace("-", "_")] = value
    return options


def catalog_hash(catalog: Catalog) -> str:
    """Short fingerprint of the items, their texts and their topics."""
    digest = hashlib.sha256()
    for texts in (catalog.ids, catalog.title, catalog.description, catalog.topic_names):
        digest.update("\x1f".join(texts).encode())
        digest.update(b"\x1e")
    digest.update(catalog.topics.tobytes())
    return digest.hexdigest()[:16]


def law_hash(env: Any) -> str:
    """Short fingerprint of an environment's knobs and items: whoever changes them changes it."""
    world = env.unwrapped
    law = (world.simulator.domain, world.slate_size, world.history, world.horizon)
    text = f"{law!r}{catalog_hash(world.catalog)}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def describe(env_id: str, env: Any) -> dict[str, Any]:
    """What a trained model must find again: the world's shape, as plain values."""
    world = env.unwrapped
    return {
        "env": check_env_id(env_id),
        "catalog": world.catalog.name,
        "catalog_hash": catalog_hash(world.catalog),
        "num_items": len(world.catalog),
        "slate_size": int(world.slate_size),
        "history": int(world.history),
        "horizon": int(world.horizon),
        "world_seed": int(getattr(world, "world_seed", 0)),  # users of others have none
    }
