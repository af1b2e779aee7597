"""The interest-conditioned attention recommender as a network: slates in, item scores out."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaConfig

from .attention import InterestAdjuster, make_backbone
from .interest import DeltaMemory


@dataclass(frozen=True)
class NetworkConfig:
    """Shape of the network.

    Attributes:
        hidden: width of the transformer.
        layers: of the transformer.
        heads: of each layer.
        vectors: interest vectors M of the read-out; a belief with several peaks needs several.
        rank: R of the low-rank part of A_l.
        conditioned: whether the interest adjusts attention; False is the ablation.
        half_lives: of the memories' time scales, in slates.
        surprise: whether the memories' gates listen to surprise.
        diversity: what likeness to an item above costs an item in the slate that is shown when
            nothing is explored, in log-odds per unit of cosine; a belief with several peaks is
            better served by some of each than by the highest peak alone.
        loyalty: what pleasing a user is worth beyond the reward, in mean worths of an item: who is
            pleased stays. Where the scores begin, and part of what a privileged teacher shows.
    """

    hidden: int = 64
    layers: int = 2
    heads: int = 4
    vectors: int = 4
    rank: int = 0
    conditioned: bool = True
    half_lives: tuple[float, ...] = (64.0, 16.0, 4.0)
    surprise: bool = True
    diversity: float = 1.0
    loyalty: float = 0.5


@dataclass
class Memory:
    """What is carried from one request to the next: memories and the attention's cache."""

    interest: Tensor
    cache: Any
    mask: Tensor
    longest: int = 2048

    @property
    def full(self) -> bool:
        """Whether the cache has grown so long that the users are better read anew."""
        return self.mask.shape[1] >= self.longest

    def replace(self, rows: Tensor, other: Memory) -> None:
        """Overwrites users whose next episode began: their slates go to the end of the cache."""
        length = other.mask.shape[1]
        self.interest[rows] = other.interest
        self.mask[rows] = False
        self.mask[rows, -length:] = True
        for mine, theirs in zip(self.cache.layers, other.cache.layers, strict=True):
            mine.keys[rows, :, -length:] = theirs.keys
            mine.values[rows, :, -length:] = theirs.values


@dataclass
class Output:
    """What the network says at T requests of B users.

    Attributes:
        query: [B, T, M, F] interest vectors q_m, and ``weight`` [B, T, M] of each.
        value: [B, T] expected discounted reward to come.
        interest: [B, T, S, F] the memories.
        embedding: [N, F] item vectors, and ``bias`` [N] of each.
    """

    query: Tensor
    weight: Tensor
    value: Tensor
    interest: Tensor = field(repr=False)
    embedding: Tensor = field(repr=False)
    bias: Tensor = field(repr=False)

    @property
    def scores(self) -> Tensor:
        """[B, T, N] log-odds Y of recommending each item."""
        match = self.query @ self.embedding.T + self.weight[..., None]
        return match.logsumexp(2) + self.bias

    def scores_of(self, items: Tensor) -> Tensor:
        """[B, T, n] the scores of some items [B, T, n]."""
        match = torch.einsum("btmf,btnf->btmn", self.query, self.embedding[items])
        return (match + self.weight[..., None]).logsumexp(2) + self.bias[items]

    def log_total(self) -> Tensor:
        """[B, T] log sum_j exp(Y_j), in one pass over the M N terms."""
        rows, vectors, size = self.value.numel(), self.query.shape[2], self.query.shape[3]
        match = torch.addmm(self.bias, self.query.reshape(-1, size), self.embedding.T)
        match = match.view(rows, vectors, -1) + self.weight.reshape(rows, vectors, 1)
        return match.view(rows, -1).logsumexp(1).view(self.value.shape)

    def put(self, rows: Tensor, other: Output) -> None:
        """Overwrites users in ``rows``."""
        for name in ("query", "weight", "value", "interest"):
            getattr(self, name)[rows] = getattr(other, name)

    def at(self, steps: Tensor) -> Output:
        """The output at some of the requests."""
        parts = {n: getattr(self, n)[:, steps] for n in ("query", "weight", "value", "interest")}
        return Output(**parts, embedding=self.embedding, bias=self.bias)


class InterestNetwork(nn.Module):
    """One token a slate; the interest adjusts attention; several interest vectors score items.

    token_t = W [mean_k e_k, sum_k y_k e_k, e of the taken, y, request, time]
    I_t     = f(history), ``DeltaMemory``
    h_t     = transformer(token_1..t | A_l(I_t))
    Y_j     = T log sum_m exp((<q_m, e_j> + weight_m) / T) + bias_j,
              q_m = sum_s c_ms m_s + W_m h_t

    All log-odds are scaled by ``sharpness``: 1 where they are fitted to behaviour, more where they
    act, because a slate drawn from odds as flat as a belief is little better than chance.

    W_m is zero at initialisation, so that the network starts as the discounted regression that its
    memories are.

    Args:
        features: [N, F] public item vectors, unit rows.
        bias: [N] what an item gets on average, in the unit of feedback.
        log_worth: [N] log of the reward per unit of feedback.
        num_requests: R.
        config: shape of the network.
    """

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
        self.metric = nn.Parameter(torch.eye(size))
        self.item_own = nn.Parameter(torch.zeros_like(features))
        self.item_bias = nn.Parameter(log_worth.clone())
        self.bias_weight = nn.Parameter(torch.tensor(8.0))
        self.request = nn.Embedding(num_requests, 16)
        self.token = nn.Linear(3 * size + 3 + 16 + 4, hidden)
        self.memory = DeltaMemory(size, config.half_lives, surprise=config.surprise)
        self.backbone = make_backbone(
            LlamaConfig(
                vocab_size=1,
                hidden_size=hidden,
                intermediate_size=2 * hidden,
                num_hidden_layers=config.layers,
                num_attention_heads=config.heads,
                num_key_value_heads=config.heads,
                max_position_embeddings=4096,
                bos_token_id=None,
                eos_token_id=None,
            )
        )
        self.interest = nn.Sequential(nn.Linear(self.memory.width, hidden), nn.SiLU())
        self.adjuster = InterestAdjuster(self.backbone.config, hidden, config.rank, rotary=True)
        scales, vectors = self.memory.scales, config.vectors
        self.read = nn.Parameter(8.0 + 0.5 * torch.randn(vectors, scales))
        self.vectors = nn.Linear(hidden, vectors * size, bias=False)
        self.vector_weight = nn.Linear(hidden, vectors)
        self.choice = nn.Parameter(torch.tensor([1.0, 0.0, 0.0]))  # of ``losses.choice_loss``
        self.value = nn.Sequential(
            nn.Linear(hidden + self.memory.width, hidden), nn.Tanh(), nn.Linear(hidden, 1)
        )
        for layer in (self.vectors, self.vector_weight):
            nn.init.zeros_(layer.weight)
        nn.init.zeros_(self.vector_weight.bias)

    @property
    def embedding(self) -> Tensor:
        """[N, F] item vectors: the public ones, and what was learned of each item beside them."""
        return self.features @ self.metric + self.item_own

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
        token, memories, context = self._digest(slates, feedback, request, time, None)
        adjust = self.adjuster(self.interest(context)) if self.config.conditioned else None
        hidden = self.backbone(inputs_embeds=token, interest=adjust, use_cache=False)
        keep = slice(None) if last is None else slice(-last, None)
        return self._read(hidden.last_hidden_state[:, keep], memories[:, keep], context[:, keep])

    def begin(
        self,
        slates: Tensor,
        feedback: Tensor,
        request: Tensor,
        time: Tensor,
        offset: int = 0,
    ) -> tuple[Output, Memory]:
        """As ``forward``, for the last request only, keeping what ``step`` needs to go on.

        ``offset`` is the place of the first slate in a cache that these users join.
        """
        token, memories, context = self._digest(slates, feedback, request, time, None)
        adjust = self.adjuster(self.interest(context)) if self.config.conditioned else None
        place = torch.arange(offset, offset + token.shape[1])[None]
        hidden = self.backbone(
            inputs_embeds=token, position_ids=place, interest=adjust, use_cache=True
        )
        output = self._read(hidden.last_hidden_state[:, -1:], memories[:, -1:], context[:, -1:])
        mask = torch.ones(token.shape[:2], dtype=torch.bool)
        return output, Memory(memories[:, -1], hidden.cache, mask)

    def step(
        self, memory: Memory, slates: Tensor, feedback: Tensor, request: Tensor, time: Tensor
    ) -> tuple[Output, Memory]:
        """One more slate [B, 1, K] of each user: the cost of one token, whatever the history."""
        token, memories, context = self._digest(slates, feedback, request, time, memory.interest)
        adjust = self.adjuster(self.interest(context)) if self.config.conditioned else None
        mask = torch.cat((memory.mask, memory.mask.new_ones(len(token), 1)), 1)
        hidden = self.backbone(
            inputs_embeds=token,
            attention_mask=None if mask.all() else mask,
            cache=memory.cache,
            interest=adjust,
            use_cache=True,
        )
        output = self._read(hidden.last_hidden_state, memories, context)
        return output, Memory(memories[:, -1], hidden.cache, mask)

    def _digest(
        self, slates: Tensor, feedback: Tensor, request: Tensor, time: Tensor, start: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Tokens [B, T, hidden], memories [B, T, S, F] and the context vectors [B, T, W]."""
        shown = (slates >= 0).to(feedback.dtype)
        item = slates.clamp_min(0)
        embedding = self.embedding[item] * shown[..., None]  # [B, T, K, F]
        taken = (feedback > 0).to(feedback.dtype)
        parts = (
            embedding.mean(2),
            (embedding * feedback[..., None]).sum(2),
            (embedding * taken[..., None]).sum(2),
            feedback.sum(2, keepdim=True),
            taken.sum(2, keepdim=True),
            (taken * torch.linspace(0, 1, slates.shape[2])).sum(2, keepdim=True),
            self.request(request),
            time,
        )
        token = self.token(torch.cat(parts, -1))
        start = self.memory.empty(len(slates)) if start is None else start
        target = feedback - self.average[item] * shown
        memories, surprise = self.memory(start, embedding, target, taken)
        return token, memories, torch.cat((memories.flatten(2), surprise), -1)

    def _read(self, hidden: Tensor, memories: Tensor, context: Tensor) -> Output:
        batch, steps = hidden.shape[:2]
        vectors, size = self.config.vectors, self.features.shape[1]
        query = torch.einsum("ms,btsf->btmf", self.read, memories)
        query = query + self.vectors(hidden).view(batch, steps, vectors, size)
        value = self.value(torch.cat((hidden, context), -1))[..., 0]
        bias = self.item_bias + self.bias_weight * self.average
        return Output(
            self.sharpness * query,
            self.sharpness * self.vector_weight(hidden),
            value,
            memories,
            self.embedding,
            self.sharpness * bias,
        )


def config_dict(config: NetworkConfig) -> dict[str, Any]:
    """The configuration as plain data, for a run folder."""
    return asdict(config)
