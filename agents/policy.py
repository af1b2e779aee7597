"""The recommender as a Stable-Baselines3 policy: observations in, slates out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule
from torch import Tensor

from driftrec.simulators import unit

from .choosing import shown_slates
from .history import available, check_history, newest, window
from .network import Network, NetworkConfig
from .optimizer import MuonAdamW
from .output import Output
from .platform import Platform
from .reading import Memory
from .transformer import InterestNetwork


@dataclass
class ItemTable:
    """What the network is told of the items, from ``Platform``.

    Attributes:
        features: [N, F] public item vectors.
        average: [N] what an item gets on average, graded feedback per impression.
        worth: [N] reward per unit of graded feedback.
        born: [N] hour of the week at which each comes out; None where they are always there.
    """

    features: np.ndarray
    average: np.ndarray
    worth: np.ndarray
    born: np.ndarray | None = None

    @classmethod
    def of_catalogue(cls, source: Any) -> ItemTable:
        """The table without anything from a log: topic shares, and nothing is known to be popular.

        Raises:
            ValueError: if ``source`` is none of driftrec's.
        """
        platform = Platform.of(source)
        nothing = np.zeros(platform.num_items, np.float32)
        return cls(unit(platform.catalog.topics), nothing, platform.worth, platform.born)

    @classmethod
    def of(cls, source: Any) -> ItemTable:
        """The table of an environment, or of its action space.

        Raises:
            ValueError: if it is none of driftrec's.
        """
        platform = Platform.of(source)
        return cls(platform.log.features, platform.log.bias, platform.worth, platform.born)


class InterestAttentionPolicy(ActorCriticPolicy):
    """Serves whole observations (the last H slates), or one slate after another from a cache.

    Args:
        observation_space: of the environment.
        action_space: of the environment.
        lr_schedule: learning rate by remaining progress.
        items: what the network is told of the items; None asks the action space.
        network: its shape, of the ``Config`` of its class; None for the defaults.
        network_class: which network.
        optimizer_class: what descends.
        optimizer_kwargs: of the optimizer.

    Raises:
        ValueError: for an action space that has no slates, or does not know its items.
    """

    def __init__(
        self,
        observation_space: spaces.Space,
        action_space: spaces.Space,
        lr_schedule: Schedule,
        items: ItemTable | None = None,
        network: NetworkConfig | None = None,
        network_class: type[Network] = InterestNetwork,
        use_sde: bool = False,
        optimizer_class: type[torch.optim.Optimizer] = MuonAdamW,
        optimizer_kwargs: dict[str, Any] | None = None,
    ) -> None:
        if not isinstance(action_space, spaces.MultiDiscrete):
            raise ValueError(f"action_space must be MultiDiscrete([N] * K), got {action_space}")
        self.items = ItemTable.of(action_space) if items is None else items
        self.network_class = network_class
        self.network_config = network_class.Config() if network is None else network
        self.slots = len(action_space.nvec)
        super().__init__(
            observation_space,
            action_space,
            lr_schedule,
            use_sde=False,
            optimizer_class=optimizer_class,
            optimizer_kwargs=optimizer_kwargs or {"weight_decay": 1e-4},
        )

    def _build(self, lr_schedule: Schedule) -> None:
        assert isinstance(self.observation_space, spaces.Dict)
        request = self.observation_space["request"]
        assert isinstance(request, spaces.Discrete)
        worth = torch.as_tensor(self.items.worth)
        self.network = self.network_class(
            torch.tensor(self.items.features),  # copies: loading writes into them
            torch.tensor(self.items.average),
            (worth / worth.mean() + self.network_config.loyalty).log(),
            int(request.n),
            self.network_config,
        )
        if self.items.born is not None:
            self.network.interest.occasion.tell_births(self.items.born)
        gentle = self.network.gentle()
        apart = set() if gentle is None else set(gentle["params"])
        self.optimizer = self.optimizer_class(
            [p for p in self.network.parameters() if p.requires_grad and p not in apart],
            lr=lr_schedule(1),
            **self.optimizer_kwargs,  # type: ignore[call-arg]
        )
        if gentle is not None:
            self.optimizer.add_param_group(gentle)

    def make_features_extractor(self) -> Any:
        """The network reads observations itself."""
        return _Whole(self.observation_space)

    def _get_constructor_parameters(self) -> dict[str, Any]:
        return {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "lr_schedule": self._dummy_schedule,
            "items": self.items,
            "network": self.network_config,
            "network_class": self.network_class,
            "optimizer_class": self.optimizer_class,
            "optimizer_kwargs": self.optimizer_kwargs,
        }

    # --- one observation at a time: what Stable-Baselines3's own algorithms call ----------------

    def forward(
        self, obs: PyTorchObs, deterministic: bool = False
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Slates [B, K], values [B] and log-probabilities [B].

        Raises:
            ValueError: for a head that draws slates as a whole: only they would be kept.
        """
        output, head = self._last(obs), self.network.head
        if head.whole:
            raise ValueError(
                f"head must draw slates themselves, got {self.network_config.head}: "
                "Stable-Baselines3's algorithms keep no proto-action, those of driftrec do"
            )
        slates = self.choose(output, deterministic)
        return slates, output.value[:, 0], self._log_probability(output, slates)

    def evaluate_actions(
        self, obs: PyTorchObs, actions: Tensor
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Values [B], log-probabilities [B] and entropies [B] of slates [B, K]."""
        output = self._last(obs)
        log_prob = self._log_probability(output, actions.long())
        return output.value[:, 0], log_prob, self.network.head.entropy(output)[:, 0]

    def predict_values(self, obs: PyTorchObs) -> Tensor:
        """[B] values."""
        return self._last(obs).value[:, 0]

    def _predict(self, observation: PyTorchObs, deterministic: bool = False) -> Tensor:
        return self.choose(self._last(observation), deterministic)

    def _last(self, obs: PyTorchObs) -> Output:
        assert isinstance(obs, dict)
        output = self.network(*window(obs), last=1)
        output.available = available(obs)
        return output

    def _log_probability(self, output: Output, slates: Tensor) -> Tensor:
        head, none = self.network.head, torch.zeros(len(slates), 1, 0)
        return head.log_probability(output, slates[:, None], none)[:, 0].sum(-1)

    def choose(self, output: Output, deterministic: bool) -> Tensor:
        """[B, K] drawn by the head, or chosen greedily with regard to likeness."""
        if not deterministic:
            return self.network.head.draw(output, self.slots).slates
        return shown_slates(self.network, output, self.slots)

    # --- one slate after another: what driftrec's agents are asked -------------------------------

    def predict(  # type: ignore[override]
        self,
        observation: dict[str, np.ndarray],
        state: Memory | None = None,
        episode_start: np.ndarray | None = None,
        deterministic: bool = False,
    ) -> tuple[np.ndarray, Memory]:
        """Slates for one user or many; ``state`` saves reading the history again.

        Users whose episode starts are read from their H slates; of the others only the newest
        slate is new. Slates are int64 [K] for a single user, else [B, K].

        Raises:
            ValueError: if feedback lies outside [0, 1], or slates have another number of slots.
        """
        check_history(observation, self.slots)
        self.set_training_mode(False)
        single = np.ndim(observation["slates"]) == 2
        batch = {k: np.asarray(v)[None] if single else v for k, v in observation.items()}
        obs = {k: torch.as_tensor(np.asarray(v)) for k, v in batch.items()}
        with torch.no_grad():
            output, state = self.advance(obs, state, episode_start)
            slates = self.choose(output, deterministic).numpy()
        return (slates[0] if single else slates), state

    def advance(
        self, obs: dict[str, Tensor], state: Memory | None, episode_start: np.ndarray | None
    ) -> tuple[Output, Memory]:
        """The output at the newest request and the state after it."""
        output, state = self._advance(obs, state, episode_start)
        output.available = available(obs)
        return output, state

    def _advance(
        self, obs: dict[str, Tensor], state: Memory | None, episode_start: np.ndarray | None
    ) -> tuple[Output, Memory]:
        starts = np.zeros(len(obs["slates"]), bool)
        if episode_start is not None:
            starts |= np.atleast_1d(episode_start).astype(bool)
        if state is None or starts.all() or state.length >= self.network.longest:
            return self.network.begin(*window(obs))
        output, state = self.network.step(state, *newest(obs))
        if starts.any():
            rows = torch.as_tensor(np.flatnonzero(starts))
            slates, feedback, request, time = (part[rows] for part in window(obs))
            fresh, memory = self.network.begin(slates, feedback, request, time, join=state)
            state.replace(rows, memory)
            output.put(rows, fresh)
        return output, state


class _Whole(torch.nn.Module):
    """Stands where Stable-Baselines3 expects a features extractor."""

    def __init__(self, observation_space: spaces.Space) -> None:
        super().__init__()
        self.features_dim = 1
        self.observation_space = observation_space
