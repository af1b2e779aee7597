"""Learned agents by name: {PPO, REINFORCE, SlateQ} x networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from inspect import signature
from typing import Any

from driftrec.simulators import Catalog

from .episodes import EpisodeAlgorithm
from .fresh import weights_follow
from .networks import NETWORKS
from .platform import Platform
from .policy import ItemTable
from .ppo import EpisodePPO
from .reinforce import EpisodeReinforce
from .search import Range, Space
from .slateq import EpisodeSlateQ

ALGORITHMS: dict[str, type[EpisodeAlgorithm]] = {
    "ppo": EpisodePPO,
    "reinforce": EpisodeReinforce,
    "slateq": EpisodeSlateQ,
}

ITEM_OPTIONS = ("text", "text_width", "fused", "items")
"""Options that say what items are known by: a model that is begun from another shares them."""

_TABLES = {"log": ItemTable.of, "catalogue": ItemTable.of_catalogue}

TRIED = {"diversity", "loyalty"}
"""Options of the network that a trial would overrule: there is none where one of them is given."""

SEARCH: Space = {"diversity": Range(0.0, 3.0), "loyalty": Range(0.0, 2.0)}
"""Which options of all networks are worth tuning."""


def make_learner(
    agent: str,
    algo: str,
    env: Any,
    *,
    seed: int = 0,
    tensorboard_log: str | None = None,
    text: str = "",
    text_width: int = 64,
    fused: bool = False,
    items: str | ItemTable = "log",
    **options: Any,
) -> EpisodeAlgorithm:
    """An algorithm of Stable-Baselines3's kind, ready to ``learn``.

    Args:
        agent: a name in ``NETWORKS``.
        algo: a name in ``ALGORITHMS``.
        env: a ``BatchVecEnv``.
        seed: of network, sampling and users.
        tensorboard_log: folder of TensorBoard events.
        text: a language model (``minilm``, ``smollm2``, a folder or hub name): items are known by
            what it makes of their text, in place of vectors fitted on a log; "" for the latter.
        text_width: length of these vectors.
        fused: whether text and topic shares are projected onto the vectors of ``items`` instead:
            new items then get such vectors too, see ``language.fused_features``.
        items: what else is known of items: from the "log" of the platform (vectors, popularity), or
            from the "catalogue" alone; or a table of one's own.
        **options: fields of the network's ``Config`` and arguments of the algorithm.

    Raises:
        ValueError: for an unknown agent, algorithm or model, with the known ones; for items known
            from the log where that must stay private.
    """
    chosen: list[tuple[str, Any, Any]] = [("agent", agent, NETWORKS), ("algo", algo, ALGORITHMS)]
    if not isinstance(items, ItemTable):
        chosen.append(("items", items, _TABLES))
    for name, value, known in chosen:
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    network, shape = NETWORKS[agent]
    given = network_options(agent, options)
    config = network.Config(**{**shape, **given})
    options = {name: value for name, value in options.items() if name not in given}
    if TRIED & given.keys():
        options.setdefault("trial", False)
    if options.get("epsilon") is not None and items == "log":
        raise ValueError(
            "items must be catalogue with an epsilon, got log: vectors and popularity that come "
            "from a log tell of its users"
        )
    if isinstance(items, ItemTable) and text:
        raise ValueError(f"items must be log or catalogue beside text, got both, text={text!r}")
    table = items if isinstance(items, ItemTable) else _TABLES[items](env)
    if text or fused:
        table = _read(table, Platform.of(env).catalog, text, text_width, fused)
    return ALGORITHMS[algo](
        ALGORITHMS[algo].policy_type,
        env,
        policy_kwargs={"items": table, "network": config, "network_class": network},
        seed=seed,
        tensorboard_log=tensorboard_log,
        **options,
    )


def _read(table: ItemTable, catalog: Catalog, text: str, width: int, fused: bool) -> ItemTable:
    """The table with vectors from the items' texts."""
    from .language import fused_features, text_features

    if not text:
        raise ValueError("fused needs text, a language model, got ''")
    if fused:
        return replace(table, features=fused_features(catalog, table.features, text)(catalog))
    return replace(table, features=text_features(catalog, text, width))


def default_options(agent: str, algo: str) -> dict[str, Any]:
    """Every option of a learner with the value that it has unless it is told another."""
    known: dict[str, Any] = {}
    for cls in reversed(ALGORITHMS[algo].__mro__):
        if "__init__" in vars(cls) and issubclass(cls, EpisodeAlgorithm):
            for parameter in signature(cls).parameters.values():
                if parameter.default is not parameter.empty:
                    known[parameter.name] = parameter.default
    network, shape = NETWORKS[agent]
    return {**known, **asdict(network.Config()), **shape}


def network_options(agent: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the options that say what an agent's network is like."""
    known = {f.name for f in fields(NETWORKS[agent][0].Config)}
    return {name: value for name, value in options.items() if name in known}


def load_learner(path: str, env: Any = None) -> EpisodeAlgorithm:
    """A saved algorithm, of whichever class saved it.

    Raises:
        ValueError: if the file is no saved learner.
    """
    from stable_baselines3.common.save_util import load_from_zip_file

    data, _, _ = load_from_zip_file(path, device="cpu")
    name = (data or {}).get("algorithm_name")
    if name not in ALGORITHMS:
        raise ValueError(f"path must be a model saved by driftrec, got {path!r}")
    with weights_follow():
        return ALGORITHMS[name].load(path, env=env, device="cpu")
