"""The text-level recommender: history and request go through a pretrained model as text.

    I    = f(H), delta-rule memories over the vectors of the texts in the history
    h    = mean over the tokens of model(history, request | A_l(I)), a unit vector
    Y_j  = text cos(h - c, e_j) + interest <I, e_j> + request |<q - c, e_j>|^focus sign<q - c, e_j>

with the items' centred vectors e_j, their centre c, and the vector q of the request. The
interest adjusts every layer's attention (``calibration``), and is read out beside it. A request
that names no topic lies a little nearer to some items by chance: with focus above 1 that counts
for less than what is truly near to one that does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from driftrec.simulators import unit
from driftrec.simulators.streams import Floats

from ..attention import Adjustment
from ..interest import DeltaMemory
from .bridge import Bridge
from .calibration import calibrated_adjuster
from .embeddings import TextEncoder, check_text
from .reading import Reader, Reading


@dataclass(frozen=True)
class TextConfig:
    """How the interest acts.

    Attributes:
        half_lives: of the memories' time scales, in events.
        rate: of the memories, see ``DeltaMemory``.
        rank: R of A_l, how many directions of interest it knows.
        strength: log-odds that texts like the interest gain in the last layer's attention; 0: the
            plain model.
        decay: what of it each layer has of that above it.
        text: weight of the model's state in a score.
        interest: weight of the interest in a score.
        request: weight of the request's own vector in a score.
        focus: power of the likeness to a request.
        max_tokens: of one user's history and request; older texts are left out.
    """

    half_lives: tuple[float, ...] = (64.0, 16.0, 4.0)
    rate: float = 0.5
    rank: int = 32
    strength: float = 2.0
    decay: float = 0.25
    text: float = 0.25
    interest: float = 1.5
    request: float = 32.0
    focus: float = 3.0
    max_tokens: int = 256

    def __post_init__(self) -> None:
        for name in ("rank", "max_tokens"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("rate", "strength", "decay", "text", "interest", "request"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be at least 0, got {value}")
        if not (np.isfinite(self.focus) and self.focus >= 1):
            raise ValueError(f"focus must be at least 1, got {self.focus}")

    def weigh(self, text: Floats, interest: Floats, request: Floats) -> Floats:
        """[B, N] scores Y from the likeness [B, N] of each item to what there is of a user."""
        near = np.abs(request) ** self.focus * np.sign(request)
        total = self.text * text + self.interest * interest + self.request * near
        return np.asarray(total, np.float32)


@dataclass(frozen=True)
class Event:
    """Something that a user met.

    Attributes:
        text: of the item.
        feedback: from -1 (disliked) over 0 (shown and not taken) to 1 (taken with pleasure).
    """

    text: str
    feedback: float = 1.0

    def __post_init__(self) -> None:
        check_text("text", self.text)
        number = isinstance(self.feedback, Real) and not isinstance(self.feedback, bool)
        if not (number and -1 <= self.feedback <= 1):
            raise ValueError(f"feedback must be a number in [-1, 1], got {self.feedback!r:.60}")


History = Sequence[Event]


class TextRecommender:
    """Scores items for users whose history and request are text.

    Args:
        encoder: of the pretrained model.
        texts: [N] of the items. New ones need no training, only a new recommender.
        names: item by every name under which a history may hold it; other texts are read.
        bridge: for texts in a language that the model cannot read.
        config: how the interest acts.

    Raises:
        ValueError: where there are fewer than two items, or a text cannot be read.
    """

    def __init__(
        self,
        encoder: TextEncoder,
        texts: Sequence[str],
        *,
        names: Mapping[str, int] | None = None,
        bridge: Bridge | None = None,
        config: TextConfig | None = None,
    ) -> None:
        if len(texts) < 2:
            raise ValueError(f"texts must be at least 2, got {len(texts)}")
        self.config = config or TextConfig()
        self.texts = tuple(texts)
        self.names = dict(names or {})
        self.reader = Reader(encoder, bridge, self.config.max_tokens)
        vectors = self.reader.vectors(texts)
        self.centre = vectors.mean(0)  # [F]
        self.items = unit(vectors - self.centre)  # [N, F]
        self.memory = DeltaMemory(
            encoder.width, self.config.half_lives, self.config.rate, surprise=False
        ).requires_grad_(False)
        self.adjuster = calibrated_adjuster(
            self.reader,
            texts,
            self.items,
            rank=self.config.rank,
            strength=self.config.strength,
            decay=self.config.decay,
        ).requires_grad_(False)

    def vectors(self, texts: Sequence[str]) -> Floats:
        """[n, F] centred unit vectors of texts; an item's own where a text is its name."""
        out = np.empty((len(texts), self.items.shape[1]), np.float32)
        rows = np.array([self.names.get(text, -1) for text in texts], np.int64)
        out[rows >= 0] = self.items[rows[rows >= 0]]
        unknown = [text for text, row in zip(texts, rows, strict=True) if row < 0]
        out[rows < 0] = unit(self.reader.vectors(unknown) - self.centre)
        return out

    def memories(self, histories: Sequence[History]) -> Tensor:
        """[B, S, F] what the memories of each time scale hold after the histories."""
        longest = max((len(history) for history in histories), default=0)
        if not longest:
            return self.memory.empty(len(histories))
        texts = list(dict.fromkeys(event.text for history in histories for event in history))
        vectors = dict(zip(texts, self.vectors(texts), strict=True))
        # Short histories begin later: events of zeros leave an empty memory as it is.
        embedding = torch.zeros(len(histories), longest, 1, self.items.shape[1])
        feedback = torch.zeros(len(histories), longest, 1)
        for i, history in enumerate(histories):
            for t, event in enumerate(history, longest - len(history)):
                embedding[i, t, 0] = torch.from_numpy(vectors[event.text])
                feedback[i, t, 0] = event.feedback
        start = self.memory.empty(len(histories))
        told = (feedback != 0).to(feedback.dtype)
        return self.memory(start, embedding, feedback, told)[0][:, -1]

    def interest(self, histories: Sequence[History]) -> Tensor:
        """[B, F] I: the mean of the memories, no longer than 1; zeros where nothing is known."""
        mean = self.memories(histories).mean(1)
        return mean / mean.norm(dim=1, keepdim=True).clamp_min(1)

    def adjustment(self, interest: Tensor) -> Adjustment:
        """A_l(I) of every layer for interests [B, F], the same for all tokens."""
        return self.adjuster(interest[:, None])

    def read(self, histories: Sequence[History], requests: Sequence[str]) -> Reading:
        """What the model reads of each user."""
        rows = [
            [*(event.text for event in history), *([request] if request.strip() else [])] or ["."]
            for history, request in zip(histories, requests, strict=True)
        ]
        return self.reader.read(rows)

    @torch.inference_mode()
    def states(self, reading: Reading, interest: Tensor | None) -> Floats:
        """[B, F] unit vectors h, with attention adjusted by interests [B, F], or plain."""
        hidden = self.reader.backbone.model(
            inputs_embeds=reading.embeddings,
            attention_mask=reading.mask,
            interest=None if interest is None else self.adjustment(interest),
        ).last_hidden_state
        weight = reading.mask[..., None].to(hidden.dtype)
        return unit(((hidden * weight).sum(1) / weight.sum(1)).numpy())

    def scores(
        self,
        histories: Sequence[History],
        requests: Sequence[str],
        interest: Tensor | None = None,
    ) -> Floats:
        """[B, N] scores Y of all items.

        Args:
            histories: [B] events, oldest first.
            requests: [B] texts; "" where nothing is asked for.
            interest: [B, F] in place of that which follows from the histories.
        """
        return self.config.weigh(*self.terms(histories, requests, interest))

    def terms(
        self,
        histories: Sequence[History],
        requests: Sequence[str],
        interest: Tensor | None = None,
    ) -> tuple[Floats, Floats, Floats]:
        """What a score is made of: likeness [B, N] to the state, the interest and the request."""
        interest = self.interest(histories) if interest is None else interest
        states = self.states(self.read(histories, requests), interest)
        asked = np.array([bool(request.strip()) for request in requests])
        wanted = np.zeros_like(states)
        wanted[asked] = self.reader.vectors([r for r in requests if r.strip()]) - self.centre
        parts = (unit(states - self.centre), interest.numpy(), wanted)
        text, liked, near = (part @ self.items.T for part in parts)
        return text, liked, near
