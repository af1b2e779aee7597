"""What a benchmark consists of, and the presets that come with the project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import Any

from driftrec.agents import agent_class
from driftrec.agents.search import coarse

from .worlds import DEFAULT_ENV

Options = Mapping[str, Any]


@dataclass(frozen=True)
class Learner:
    """An agent to train.

    Attributes:
        agent: the policy's name.
        algo: "ppo", "reinforce" or "slateq".
        steps: user-steps of each training run.
        options: options of the policy and the algorithm.
        seconds: roughly how long a run takes; for the order of the jobs and the progress bar.
        variant: what its options change, in a few words; "" where it is the agent as it comes.
    """

    agent: str
    algo: str
    steps: int
    options: Options = field(default_factory=dict)
    seconds: float = 90.0
    variant: str = ""

    @property
    def label(self) -> str:
        """Name in tables and figures."""
        return label(self.agent, self.algo, self.variant)

    @property
    def name(self) -> str:
        """Name of its jobs."""
        variant = f"-{self.variant.replace(' ', '-')}" if self.variant else ""
        return f"{self.agent}-{self.algo}{variant}"


def label(agent: str, algo: str, variant: str = "") -> str:
    """Name of a trained agent in tables and figures."""
    return f"{agent} ({algo.upper()}{', ' + variant if variant else ''})"


@dataclass(frozen=True)
class Baseline:
    """An agent that needs no training.

    Attributes:
        agent: its name.
        grid: configurations to choose from on the validation users; one: nothing to choose.
        seconds: roughly how long one evaluation takes.
    """

    agent: str
    grid: tuple[Options, ...] = ({},)
    seconds: float = 5.0

    @property
    def label(self) -> str:
        """Name in tables and figures."""
        return self.agent


@dataclass(frozen=True)
class Preset:
    """A benchmark: learners and baselines on the same users of one environment.

    Attributes:
        name: of the preset.
        learners: agents to train, the flagship first.
        baselines: agents to compare with.
        env: environment id.
        env_options: its options.
        training_seeds: one training run for each, and for each learner.
        num_envs: users served at once in training.
        validations: how often a training is validated.
        validation_users: users for choosing checkpoints and configurations.
        users: test users in a block.
        blocks: blocks of test users.
        references: baselines whose level is drawn into the reward curves.
        description: one line for the help.
    """

    name: str
    learners: tuple[Learner, ...]
    baselines: tuple[Baseline, ...]
    env: str = DEFAULT_ENV
    env_options: Options = field(default_factory=dict)
    training_seeds: tuple[int, ...] = (1, 2, 3)
    num_envs: int = 128
    validations: int = 6
    validation_users: int = 256
    users: int = 500
    blocks: int = 1
    references: tuple[str, ...] = ("static-interest", "discounted-linucb", "oracle")
    description: str = ""

    def settings(self) -> dict[str, Any]:
        """Everything that decides the results, as plain values."""
        plain = asdict(self)
        del plain["description"]
        for entry in (*plain["learners"], *plain["baselines"]):
            del entry["seconds"]
            if entry.get("variant") == "":  # as before there were any
                del entry["variant"]
        return plain


# Kinds of agents that need no training; those not named adapt.
KINDS = {
    "random": "static",
    "popularity": "static",
    "static-interest": "static",
    "static-attention": "static",
    "bayes-filter": "bound",
    "oracle": "bound",
}


def grid(**values: tuple[float, ...]) -> tuple[Options, ...]:
    """Every combination of the values.

    Example:
        >>> grid(a=(1, 2), b=(3,))
        ({'a': 1, 'b': 3}, {'a': 2, 'b': 3})
    """
    return tuple(dict(zip(values, choice, strict=True)) for choice in product(*values.values()))


def declared(agent: str) -> tuple[Options, ...]:
    """The coarse grid that an agent declares of itself."""
    return coarse(agent_class(agent).search)


# Eight configurations for each agent that has something to choose: the same budget for all.
BASELINES = (
    Baseline("random", seconds=2),
    Baseline("popularity", seconds=2),
    Baseline("static-interest", declared("static-interest")),
    Baseline("moving-average", declared("moving-average"), seconds=6),
    Baseline("discounted-linucb", declared("discounted-linucb"), seconds=10),
    Baseline("oracle", seconds=8),
)

# The interest is fitted on all of the platform's log, and then on answers to its own best slates;
# the rest of the network begins with what follows from that, and learns for a while from answers
# alone before reinforcement learning does. Nobody's true utilities are seen.
PRETRAINED: Options = {
    "log_users": 10_000,
    "log_passes": 1,
    "practice_steps": 614_400,
    "pretrain_steps": 12_800,
}
BRIEF: Options = {**PRETRAINED, "practice_steps": 409_600}
BRIEFEST: Options = {**PRETRAINED, "practice_steps": 204_800}
BRIEFLY = 38_400  # user-steps, where there is much to train
TOLD: Options = {"privileged": True, "pretrain_steps": 38_400}


def flagship(steps: int, options: Options) -> tuple[Learner, ...]:
    """The flagship by both algorithms."""
    return tuple(
        Learner("interest-attention", algo, steps, options, seconds=140)
        for algo in ("ppo", "reinforce")
    )


# What is taken away or added, from whom, user-steps, and by which options. The trial among users is
# not among them: practice is too short for it here.
ABLATIONS: tuple[tuple[str, str, int, Options], ...] = (
    ("", "interest-attention", BRIEFLY, {}),
    ("unconditioned", "attention", BRIEFLY, {}),
    ("rank 4 added to A", "interest-attention", BRIEFLY, {"rank": 4}),
    ("one interest vector", "interest-attention", BRIEFLY, {"vectors": 1}),
    ("no beliefs", "interest-attention", BRIEFLY, {"lasting": 1, "passing": 1, "vectors": 1}),
    ("no surprise gate", "interest-attention", BRIEFLY, {"surprise": False}),
    ("no occasion", "interest-attention", BRIEFLY, {"occasion": False}),
    ("one time scale", "interest-attention", BRIEFLY, {"half_lives": (16.0,)}),
    ("interest unfitted", "interest-attention", BRIEFLY, {"log_passes": 0}),
    ("no practice", "interest-attention", BRIEFLY, {"practice_steps": 0}),
    (
        "by scores",
        "interest-attention",
        BRIEFLY,
        {"head": "plackett-luce", "diversity": 1.0, "sharpness": 2.0},
    ),
    ("no spread", "interest-attention", BRIEFLY, {"diversity": 0.0}),
    ("log and practice alone", "interest-attention", 12_800, {"pretrain_rate": 0.0}),
    ("told utilities", "interest-attention", 64_000, TOLD),
    ("no pretraining", "interest-attention", BRIEFLY, {"pretrain_steps": 0}),
    ("no RL", "interest-attention", 12_800, {}),
    ("interest tuned on", "interest-attention", BRIEFLY, {"tune_interest": True}),
)

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        Preset(
            name="demo",
            description="PPO and REINFORCE, 3 seeds each, against every other agent; 8 minutes",
            learners=flagship(BRIEFLY, BRIEFEST),
            baselines=BASELINES,
            validations=4,
            validation_users=128,
        ),
        Preset(
            name="standard",
            description="the demo with more practice and more steps; a quarter of an hour",
            learners=flagship(115_200, PRETRAINED),
            baselines=BASELINES,
        ),
        Preset(
            name="quick",
            description="PPO alone, 2 seeds, fewer users: for a world of one's own; 5 minutes",
            learners=flagship(BRIEFLY, BRIEF)[:1],
            baselines=BASELINES,
            training_seeds=(1, 2),
            validations=3,
            validation_users=128,
            users=300,
        ),
        Preset(
            name="networks",
            description="other networks with the same pretraining and budget, by PPO; half an hour",
            learners=tuple(
                Learner(network, "ppo", 115_200, PRETRAINED, seconds=140)
                for network in ("interest-attention", "attention", "static-attention", "gru", "mlp")
            ),
            baselines=BASELINES,
        ),
        # Whether the interest should adjust attention; the environment's options say in what world.
        Preset(
            name="conditioning",
            description="with and without the interest, also in a frozen MiniLM; half an hour",
            learners=tuple(
                Learner(network, "ppo", BRIEFLY, {**BRIEFEST, **body}, 140, variant)
                for variant, body in (("", {}), ("frozen MiniLM", {"backbone": "minilm"}))
                for network in ("interest-attention", "attention")
            ),
            baselines=(*BASELINES, Baseline("bayes-filter", seconds=60)),
            validations=3,
            validation_users=128,
            users=300,
        ),
        Preset(
            name="ablations",
            description="the flagship with one part taken away or added at a time; an hour",
            learners=tuple(
                Learner(agent, "ppo", steps, {**BRIEFEST, **options}, 140, variant)
                for variant, agent, steps, options in ABLATIONS
            ),
            baselines=(*BASELINES, Baseline("bayes-filter", seconds=60)),
            validations=3,
            validation_users=128,
            users=300,
        ),
    )
}
