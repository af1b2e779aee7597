"""What all networks share: a token from each slate, and item scores from what is made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .dynamic import GAIN, DynamicInterest
from .heads import HEADS
from .output import Output
from .reading import Memory, Seen

_VAGUE = 1e-6  # least probability of a passing interest that is asked for its logarithm


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of a network; each has its own, with more to choose.

    Attributes:
        hidden: width of tokens and of what is made of them.
        vectors: interest vectors M of the read-out; a belief with several peaks needs several.
        half_lives: of the memories' time scales, in slates.
        surprise: whether the memories' gates listen to surprise.
        interests: passing interests C that the chain tells apart; 0: no chain.
        diversity: what likeness to an item above costs an item in the slate that is shown when
            nothing is explored, in log-odds per unit of cosine; a belief with several peaks is
            better served by some of each than by the highest peak alone.
        loyalty: what pleasing a user is worth beyond the reward, in mean worths of an item: who is
            pleased stays. Where the scores begin, and part of what a privileged teacher shows.
        head: how slates are drawn, a name in ``HEADS``.
        per_item: whether each item learns a vector and a bias of its own beside what is known of
            it publicly. Without, less is learned of the items at hand and items that come later
            are known as well as they are.

    Raises:
        ValueError: for an unknown head, one that cannot do with so many vectors, or a negative
            number of interests.
    """

    hidden: int = 64
    vectors: int = 4
    half_lives: tuple[float, ...] = (64.0, 16.0, 4.0)
    surprise: bool = True
    interests: int = 32
    diversity: float = 1.0
    loyalty: float = 0.5
    head: str = "plackett-luce"
    per_item: bool = True

    def __post_init__(self) -> None:
        if self.head not in HEADS:
            raise ValueError(f"head must be one of {', '.join(HEADS)}, got {self.head!r}")
        if self.interests < 0:
            raise ValueError(f"interests must be at least 0, got {self.interests}")
        if HEADS[self.head].whole and self.vectors != 1:
            raise ValueError(f"vectors must be 1 with the head {self.head}, got {self.vectors}")
        if not (self.per_item or HEADS[self.head].item_features):
            raise ValueError(f"per_item must be True with the head {self.head}, got False")


class Network(nn.Module, ABC):
    """One token a slate, mixed over time; several interest vectors score the items.

    token_t = W [mean_k e_k, sum_k y_k e_k, e of the taken, y, request, time]
    I_t     = f(history): memories m_s of ``DeltaMemory``, beliefs b of ``InterestChain``
    h_t     = mix(token_1..t, I_1..t), what a subclass says
    Y_j     = log sum_m exp(<q_m, e_j> + weight_m) + log sum_c b'_c exp(g <v_c, e_j>) + bias_j,
              q_m = sum_s c_ms m_s + W_m h_t,  log b' = log b + W h_t

    All log-odds are scaled by ``sharpness``: 1 where they are fitted to behaviour, more where they
    act, because a slate drawn from odds as flat as a belief is little better than chance.

    W_m and W are zero at initialisation, so that every network starts as the discounted regression
    that its memories are, and the filter that its chain is.

    Args:
        features: [N, F] public item vectors, unit rows.
        bias: [N] what an item gets on average, in the unit of feedback.
        log_worth: [N] log of the reward per unit of feedback.
        num_requests: R.
        config: shape of the network, of the class ``Config``.
    """

    Config: ClassVar[type[NetworkConfig]] = NetworkConfig
    longest: float = float("inf")  # slates until users are better read anew
    adaptive: ClassVar[bool] = True  # whether slates after the first decision are read

    features: Tensor
    average: Tensor
    sharpness: Tensor

    def __init__(
        self,
        features: Tensor,
        bias: Tensor,
        log_worth: Tensor,
        num_requests: int,
        config: NetworkConfig,
    ) -> None:
        super().__init__()
        self.config = config
        size, hidden = features.shape[1], config.hidden
        self.register_buffer("features", features)
        self.register_buffer("average", bias)
        self.register_buffer("sharpness", torch.ones(()))
        self.fixed: tuple[Tensor, Tensor, Tensor] | None = None
        self.metric = nn.Parameter(torch.eye(size))
        head = HEADS[config.head]
        own = torch.zeros_like(features)
        if not head.item_features:
            own = torch.randn_like(features) / size**0.5
        self.item_own = nn.Parameter(own, requires_grad=config.per_item)
        self.item_bias = nn.Parameter(log_worth.clone(), requires_grad=config.per_item)
        self.request = nn.Embedding(num_requests, 16)
        self.token = nn.Linear(3 * size + 3 + 16 + 4, hidden)
        self.interest = DynamicInterest(
            features, config.half_lives, config.surprise, config.interests
        )
        self.build()
        scales, vectors = self.interest.memory.scales, config.vectors
        self.read = nn.Parameter(1 + 0.06 * torch.randn(vectors, scales))
        self.vectors = nn.Linear(hidden, vectors * size, bias=False)
        self.vector_weight = nn.Linear(hidden, vectors)
        self.passing = nn.Linear(hidden, self.interest.chain.count)
        self.choice = nn.Parameter(torch.tensor([1.0, 0.0, 0.0]))  # of ``losses.choice_loss``
        self.value = nn.Sequential(
            nn.Linear(hidden + self.interest.width, hidden), nn.Tanh(), nn.Linear(hidden, 1)
        )
        for layer in (self.vectors, self.vector_weight, self.passing):
            nn.init.zeros_(layer.weight)
        for layer in (self.vector_weight, self.passing):
            nn.init.zeros_(layer.bias)
        self.head = head(size)
        self.head.prepare(features, config.diversity)

    # --- what a subclass says --------------------------------------------------------------------

    @abstractmethod
    def build(self) -> None:
        """Makes the layers that ``mix`` needs."""

    @abstractmethod
    def mix(
        self, token: Tensor, context: Tensor, carry: Any = None, place: int = 0
    ) -> tuple[Tensor, Any]:
        """What the slates so far come to, at each of T more slates; nothing looks ahead.

        Args:
            token: [B, T, hidden].
            context: [B, T, W] the interest after each slate: memories, surprise, beliefs.
            carry: what the call before returned, None at the beginning.
            place: of the first slate, where it is the first of users who join others.

        Returns:
            [B, T, hidden], and what the next call goes on from.
        """

    def mix_whole(self, token: Tensor, context: Tensor) -> Tensor:
        """``mix`` of whole episodes, after which nothing comes."""
        return self.mix(token, context)[0]

    def gentle(self) -> dict[str, Any] | None:
        """Weights that were trained elsewhere and are trained on, as a group of an optimizer."""
        return None

    # --- what callers use ------------------------------------------------------------------------

    @property
    def embedding(self) -> Tensor:
        """[N, F] item vectors: the public ones, and what was learned of each item beside them."""
        if self.fixed is not None:
            return self.fixed[0]
        if not self.head.item_features:
            return self.item_own
        return self.features @ self.metric + self.item_own

    @property
    def bias(self) -> Tensor:
        """[N] what is added to every item's score, sharpened."""
        if self.fixed is not None:
            return self.fixed[1]
        return self.sharpness * (self.item_bias + GAIN * self.interest.bias_weight * self.average)

    @property
    def appeal(self) -> Tensor:
        """[N, C] odds that each passing interest lends to each item."""
        if self.fixed is not None:
            return self.fixed[2]
        return (self.embedding @ self.interest.chain.pull.T).exp()

    def fix_items(self) -> None:
        """Keeps item vectors and biases as they are now: to serve from a large catalogue."""
        with torch.no_grad():
            self.fixed = self.embedding.clone(), self.bias.clone(), self.appeal.clone()

    def forward(
        self,
        slates: Tensor,
        feedback: Tensor,
        request: Tensor,
        time: Tensor,
        last: int | None = None,
    ) -> Output:
        """All requests of B episodes in one causal pass.

        Args:
            slates: [B, T, K] shown at each request before, -1 for none.
            feedback: [B, T, K] graded feedback on them.
            request: [B, T] the request that follows each slate.
            time: [B, T, 4] the time of that request.
            last: score only this many requests at the end.
        """
        token, memories, context, evidence = self.digest(slates, feedback, request, time)
        hidden = self.mix_whole(token, context)
        keep = slice(None) if last is None else slice(-last, None)
        output = self.read_out(hidden[:, keep], memories[:, keep], context[:, keep])
        output.evidence = evidence
        return output

    def begin(
        self,
        slates: Tensor,
        feedback: Tensor,
        request: Tensor,
        time: Tensor,
        join: Memory | None = None,
    ) -> tuple[Output, Memory]:
        """As ``forward``, for the last request only, keeping what ``step`` needs to go on.

        ``join`` is the memory of others in which these users will overwrite some.
        """
        token, memories, context, _ = self.digest(slates, feedback, request, time)
        length = token.shape[1]
        place = 0 if join is None else join.length - length
        hidden, carry = self.mix(token, context, None, place)
        output = self.read_out(hidden[:, -1:], memories[:, -1:], context[:, -1:])
        return output, Memory(memories[:, -1], self.interest.beliefs(context)[:, -1], carry, length)

    def step(
        self, memory: Memory, slates: Tensor, feedback: Tensor, request: Tensor, time: Tensor
    ) -> tuple[Output, Memory]:
        """One more slate [B, 1, K] of each user: the cost of one token, whatever the history."""
        token, memories, context, _ = self.digest(slates, feedback, request, time, memory)
        hidden, carry = self.mix(token, context, memory.carry)
        output = self.read_out(hidden, memories, context)
        belief = self.interest.beliefs(context)[:, -1]
        return output, Memory(memories[:, -1], belief, carry, memory.length + 1)

    # --- slates in, scores out -------------------------------------------------------------------

    def digest(
        self,
        slates: Tensor,
        feedback: Tensor,
        request: Tensor,
        time: Tensor,
        before: Memory | None = None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Tokens, memories, context and evidence of T slates.

        Slates and what goes with them are as in ``forward``; ``before`` is what is carried on, None
        where nothing is known. Returned are the tokens [B, T, hidden], and what
        ``DynamicInterest`` says: memories, the interest as one vector (the context), evidence.
        """
        return self.absorb(self.perceive(slates, feedback, request, time), before)

    def perceive(self, slates: Tensor, feedback: Tensor, request: Tensor, time: Tensor) -> Seen:
        """Looks up what was shown and asked."""
        shown = (slates >= 0).to(feedback.dtype)
        item = slates.clamp_min(0)
        return Seen(
            embedding=self.embedding[item] * shown[..., None],
            feedback=feedback,
            taken=(feedback > 0).to(feedback.dtype),
            expected=self.average[item] * shown,
            shown=shown,
            request=self.request(request),
            time=time,
        )

    def absorb(
        self, seen: Seen, before: Memory | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """As ``digest``, of what was looked up."""
        embedding, feedback, taken = seen.embedding, seen.feedback, seen.taken
        parts = (
            embedding.mean(2),
            (embedding * feedback[..., None]).sum(2),
            (embedding * taken[..., None]).sum(2),
            feedback.sum(2, keepdim=True),
            taken.sum(2, keepdim=True),
            (taken * torch.linspace(0, 1, taken.shape[2])).sum(2, keepdim=True),
            seen.request,
            seen.time,
        )
        token = self.token(torch.cat(parts, -1))
        return token, *self.interest(seen, before)

    def evidence(self, slates: Tensor, feedback: Tensor) -> Tensor:
        """[B, T] log-likelihood of what was taken from each slate [B, T, K], given those before."""
        none = slates.new_zeros(slates.shape[:2])
        time = feedback.new_zeros(*slates.shape[:2], 4)
        return self.interest(self.perceive(slates, feedback, none, time))[2]

    def read_out(self, hidden: Tensor, memories: Tensor, context: Tensor) -> Output:
        """Item scores and value at each request, from what ``mix`` and ``digest`` gave."""
        batch, steps = hidden.shape[:2]
        vectors, size = self.config.vectors, self.features.shape[1]
        query = torch.einsum("ms,btsf->btmf", GAIN * self.read, memories)
        query = query + self.vectors(hidden).view(batch, steps, vectors, size)
        value = self.value(torch.cat((hidden, context), -1))[..., 0]
        belief = self.interest.beliefs(context).clamp_min(_VAGUE).log() + self.passing(hidden)
        return Output(
            self.sharpness * query,
            self.sharpness * self.vector_weight(hidden),
            value,
            memories,
            self.embedding,
            self.bias,
            belief.softmax(-1),
            self.interest.chain.pull,
            self.appeal,
            self.sharpness,
            hidden=hidden,
        )
