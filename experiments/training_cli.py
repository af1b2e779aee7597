"""The commands that make models: train and pretrain."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from .options import (
    DEFAULT_ENV,
    AsJson,
    Catalog,
    Drift,
    EnvId,
    EnvOption,
    Horizon,
    LearnerOption,
    MaybeEnvId,
    Seed,
    SettingsFile,
    SlateSize,
    Strength,
    command,
    env_options,
    refuse_beside,
)
from .training_ends import show_training
from .training_options import (
    Backbone,
    Delta,
    DeviceMap,
    EarlyStop,
    Epsilon,
    Finetune,
    From,
    Lora,
    MaybeAgent,
    MaybeAlgo,
    MaybeOut,
    NumEnvs,
    PracticeSteps,
    PretrainSteps,
    Privileged,
    Resume,
    Text,
    Track,
    backbone_options,
    prepared,
    private,
    with_tuned,
)

AGENT = "interest-attention"


@command("driftrec train --agent interest-attention --algo ppo --steps 20000 --out runs/a")
def train(
    context: typer.Context,
    out: MaybeOut = None,
    resume: Resume = None,
    start: From = None,
    env: MaybeEnvId = None,
    agent: MaybeAgent = None,
    algo: MaybeAlgo = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="User-steps.")] = 300_000,
    seed: Seed = 0,
    num_envs: NumEnvs = 128,
    early_stop: EarlyStop = 0,
    pretrain_steps: PretrainSteps = None,
    practice_steps: PracticeSteps = None,
    privileged: Privileged = False,
    epsilon: Epsilon = None,
    delta: Delta = None,
    text: Text = None,
    backbone: Backbone = None,
    finetune: Finetune = False,
    lora: Lora = 0,
    device_map: DeviceMap = None,
    catalog: Catalog = None,
    drift: Drift = None,
    drift_strength: Strength = None,
    slate_size: SlateSize = None,
    horizon: Horizon = None,
    env_option: EnvOption = None,
    settings: SettingsFile = None,
    option: LearnerOption = None,
    track: Track = None,
    as_json: AsJson = False,
) -> None:
    """Train an agent; the run folder gets config, metrics, TensorBoard events and the model.

    The model kept is the best on validation users. Ctrl-C keeps it, and the newest beside it, from
    which --resume goes on to the same end as if nothing had happened.
    """
    from . import train as training
    from .pretraining import begun_in
    from .worlds import parse_options

    progress = False if as_json else None
    if resume is not None:
        refuse_beside(context, "resume", "as_json")
        show_training(training.resume(resume, progress=progress), as_json)
        return
    if out is None:
        raise ValueError("give either --out or --resume, got none")
    world = env_options(catalog, drift, drift_strength, slate_size, horizon, env_option)
    agent, algo, options = with_tuned(settings, agent, algo, parse_options(option or []))
    options = {**private(epsilon, delta), **options}
    if text is not None:
        options = {"text": text, **options}
    options = {**backbone_options(backbone, finetune, lora, device_map), **options}
    begun: dict[str, Any] = {"env": DEFAULT_ENV, "agent": agent or AGENT, "env_options": {}}
    if start is not None:
        begun = begun_in(start, agent, options)
        pretrain_steps = 0 if pretrain_steps is None else pretrain_steps
    told = prepared(steps, pretrain_steps, practice_steps, privileged)
    config = training.TrainConfig(
        out=str(out),
        algo=algo or "ppo",
        steps=steps,
        seed=seed,
        num_envs=num_envs,
        early_stop=early_stop,
        track=tuple(track or ()),
        **begun
        | {
            "env": env or begun["env"],
            "env_options": {**begun["env_options"], **world},
            "learner_options": {**told, **begun.get("learner_options", options)},
        },
    )
    show_training(training.train(config, progress=progress), as_json)


@command("driftrec pretrain --env driftrec/Video-v0 --logged --steps 20000 --out runs/p")
def pretrain(
    out: Annotated[Path, typer.Option("--out", help="Run folder, new.")],
    env: EnvId = DEFAULT_ENV,
    agent: MaybeAgent = None,
    log: Annotated[
        str | None,
        typer.Option(
            "--log",
            help="A log of one's own: events (a CSV user_id,item_id,timestamp,value; ratings.csv; "
            ".inter; or a folder as for --catalog), or the id of a local Minari dataset.",
        ),
    ] = None,
    practice_steps: PracticeSteps = None,
    privileged: Annotated[
        bool | None,
        typer.Option(
            "--privileged/--logged",
            help="On slates of its own with the users' true utilities as targets (the default "
            "without --log), or on the log of the simulator's logging policy.",
        ),
    ] = None,
    epsilon: Epsilon = None,
    delta: Delta = None,
    steps: Annotated[int, typer.Option("--steps", min=1, help="User-steps.")] = 225_000,
    seed: Seed = 0,
    num_envs: NumEnvs = 128,
    early_stop: EarlyStop = 0,
    backbone: Backbone = None,
    finetune: Finetune = False,
    lora: Lora = 0,
    device_map: DeviceMap = None,
    catalog: Catalog = None,
    drift: Drift = None,
    drift_strength: Strength = None,
    slate_size: SlateSize = None,
    horizon: Horizon = None,
    env_option: EnvOption = None,
    settings: SettingsFile = None,
    option: LearnerOption = None,
    as_json: AsJson = False,
) -> None:
    """Pretrain a network without reinforcement learning, which ``driftrec train --from`` adds.

    By what users took from the slates of a log, or by their true utilities (targets, never inputs;
    in a simulator only). The run folder is one of ``driftrec train``: evaluate and resume it so.
    """
    from . import train as training
    from .pretraining import SIMULATOR
    from .worlds import parse_options

    if log is not None and privileged and epsilon is None:
        raise ValueError("give either --log or --privileged: nobody's true utilities are in a log")
    if privileged is None:
        privileged = log is None
    if practice_steps is None and not privileged:
        practice_steps = 0  # a log is of other users than those that practice would meet
    agent, algo, options = with_tuned(settings, agent, None, parse_options(option or []))
    options = {**backbone_options(backbone, finetune, lora, device_map), **options}
    options = {**private(epsilon, delta), **options}
    config = training.TrainConfig(
        out=str(out),
        env=env,
        agent=agent or AGENT,
        algo=algo or "ppo",
        steps=steps,
        seed=seed,
        num_envs=num_envs,
        env_options=env_options(catalog, drift, drift_strength, slate_size, horizon, env_option),
        learner_options={**options, **prepared(steps, steps, practice_steps, privileged)},
        log=log if log is not None else None if privileged else SIMULATOR,
        early_stop=early_stop,
    )
    show_training(training.train(config, progress=False if as_json else None), as_json)
