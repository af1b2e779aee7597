"""The options of the commands that make models, and what a learner is told by them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

MaybeAgent = Annotated[
    str | None,
    typer.Option(
        "--agent",
        help="Policy: interest-attention (the default), attention (without interest), "
        "static-attention (reads the warm-up only), gru or mlp.",
    ),
]
MaybeOut = Annotated[Path | None, typer.Option("--out", help="Run folder, new.")]
Resume = Annotated[
    Path | None,
    typer.Option("--resume", help="Go on with this interrupted run, with its own settings."),
]
From = Annotated[
    Path | None,
    typer.Option(
        "--from", help="Start from this run's model, in its world; pretrain no more unless told."
    ),
]
MaybeAlgo = Annotated[
    str | None,
    typer.Option("--algo", help="ppo (unless settings say other), reinforce or slateq."),
]
NumEnvs = Annotated[int, typer.Option("--num-envs", min=1, help="Users at once.")]
EarlyStop = Annotated[
    int,
    typer.Option(
        "--early-stop", min=0, help="End after so many validations without a new best; 0: never."
    ),
]
Track = Annotated[
    list[str] | None,
    typer.Option(
        "--track",
        help="Tell wandb or mlflow too, offline, of what TensorBoard is told; repeatable.",
    ),
]
PretrainSteps = Annotated[
    int | None,
    typer.Option(
        "--pretrain-steps",
        min=0,
        help="How many of them pretrain; default 1/4, with --privileged 3/4.",
    ),
]
PracticeSteps = Annotated[
    int | None,
    typer.Option(
        "--practice-steps",
        min=0,
        help="User-steps before them, in which the interest goes on learning from answers to its "
        "own best slates; default as many as --steps.",
    ),
]
Privileged = Annotated[
    bool,
    typer.Option(
        "--privileged/--log-only",
        help="Pretrain on the users' true utilities (targets, never inputs), or on feedback alone.",
    ),
]
Epsilon = Annotated[
    float | None,
    typer.Option(
        "--epsilon",
        help="Read the log once, by differentially private steps that spend at most this; items "
        "are known by the catalogue alone, and all else is learned from simulated users.",
    ),
]
Delta = Annotated[
    float | None,
    typer.Option("--delta", help="Probability that --epsilon may fail; default 0.1 / users."),
]
Text = Annotated[
    str | None,
    typer.Option(
        "--text",
        help="Know items by their text through a language model (minilm, smollm2, a folder, a hub "
        "name) in place of vectors fitted on a log.",
    ),
]
Backbone = Annotated[
    str | None,
    typer.Option(
        "--backbone",
        help="Read the episode with a pretrained language model (minilm, smollm2, a folder, a hub "
        "name) in place of the small transformer; frozen unless told.",
    ),
]
Finetune = Annotated[
    bool,
    typer.Option(
        "--finetune",
        help="Train the backbone's own weights too, at 1e-5 after a warm-up (--option "
        "finetune_rate=..., finetune_warmup=...).",
    ),
]
Lora = Annotated[
    int, typer.Option("--lora", min=0, help="Rank of adapters to train in the backbone; 0: none.")
]
DeviceMap = Annotated[
    str | None,
    typer.Option(
        "--device-map",
        help="Where the backbone's layers lie, for one larger than a device: auto, cpu, ...",
    ),
]


def backbone_options(
    backbone: str | None, finetune: bool, lora: int, device_map: str | None
) -> dict[str, Any]:
    """The options of the network that were given."""
    named = {"backbone": backbone, "finetune": finetune, "lora": lora, "device_map": device_map}
    return {name: value for name, value in named.items() if value}


def prepared(
    steps: int, pretrain_steps: int | None, practice_steps: int | None, privileged: bool
) -> dict[str, Any]:
    """Options of what a learner does before reinforcement learning; None for their defaults.

    Raises:
        ValueError: for practice without the pretraining that it is a part of.
    """
    share = 3 if privileged else 1
    pretrain = steps * share // 4 if pretrain_steps is None else pretrain_steps
    if practice_steps is None:
        practice_steps = steps if pretrain else 0  # practice is a part of pretraining
    if practice_steps and not pretrain:
        raise ValueError(
            "practice_steps must be 0 where pretrain_steps is: practice is a part of pretraining, "
            f"got {practice_steps}"
        )
    return {"pretrain_steps": pretrain, "practice_steps": practice_steps, "privileged": privileged}


def private(epsilon: float | None, delta: float | None) -> dict[str, Any]:
    """Options of a learner whose log must not tell of its users.

    Raises:
        ValueError: for a delta without an epsilon.
    """
    if epsilon is None:
        if delta is not None:
            raise ValueError(f"delta must come with an epsilon, got {delta} alone")
        return {}
    given = {"epsilon": epsilon, "items": "catalogue"}
    return given if delta is None else {**given, "delta": delta}


def with_tuned(
    settings: Path | None, agent: str | None, algo: str | None, options: dict[str, Any]
) -> tuple[str | None, str | None, dict[str, Any]]:
    """Agent, algorithm and options as tuned where there are settings; what was given counts first.

    Raises:
        ValueError: where the settings are of another agent or algorithm than was asked for.
    """
    if settings is None:
        return agent, algo, options
    from .settings import read_settings

    tuned = read_settings(settings)
    tuned.check(agent, algo)
    return tuned.agent, tuned.algo, {**tuned.options, **options}
