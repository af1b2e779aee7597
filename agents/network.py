"""What all networks share: a token from each slate, and item scores from what is made of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .dynamic import GAIN, POPULAR, DynamicInterest
from .heads import HEADS
from .occasion import Occasion
from .output import Output
from .reading import Interest, Memory, Seen
from .shape import NetworkConfig

__all__ = ["Network", "NetworkConfig"]

_VAGUE = 1e-6  # least probability of an interest that is asked for its logarithm


class Network(nn.Module, ABC):
    """One token a slate, mixed over time; several interest vectors score the items.

    token_t = W [mean_k e_k, sum_k y_k e_k, e of the taken, y, request, time]
    I_t     = f(history), ``DynamicInterest``: memories m_s, belief b(g, c)
    h_t     = mix(token_1..t, I_1..t), what a subclass says
    Y_j     = log sum_m exp(<q_m, e_j> + weight_m) + bias_j + o_tj,   m = the M likeliest c by
              weight_c = log b'(c) = log sum_g b(g, c) + (W h_t)_c,
              q_c      = v_c + sum_g b(g | c) p_g + sum_s r_s m_s + U h_t

    All log-odds are scaled by ``sharpness``: 1 where they are fitted to behaviour, more where they
    act, because a slate drawn from odds as flat as a belief is little better than chance.

    W and U are zero at initialisation, so that every network starts as the filter that its
    interest is. p, v, r and e begin where the interest's own were fitted, and are learned from then
    on: what is believed is one thing, what to do about it another.

    Args:
        features: [N, F] public item vectors, unit rows.
        bias: [N] what an item gets on average, in the unit of feedback.
        log_worth: [N] log of the reward per unit of feedback, loyalty included.
        num_requests: R.
        config: shape of the network, of the class ``Config``.
    """

    Config: ClassVar[type[NetworkConfig]] = NetworkConfig
    longest: float = float("inf")  # slates until users are better read anew
    adaptive: ClassVar[bool] = True  # whether slates after the first decision are read

    features: Tensor
    average: Tensor
    log_worth: Tensor
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
        self.register_buffer("log_worth", log_worth)
        self.register_buffer("sharpness", torch.ones(()))
        self.fixed: tuple[Tensor, Tensor, Tensor] | None = None
        self.metric = nn.Parameter(torch.eye(size))
        head = HEADS[config.head]
        self.item_own = nn.Parameter(torch.zeros_like(features), requires_grad=config.per_item)
        self.item_bias = nn.Parameter(log_worth.clone(), requires_grad=config.per_item)
        self.request = nn.Embedding(num_requests, 16)
        self.token = nn.Linear(3 * size + 3 + 16 + 4, hidden)
        kinds = (config.lasting, config.passing)
        own = torch.zeros_like(features)
        if not head.item_features:
            own = torch.randn_like(features) / size**0.5
        self.interest = DynamicInterest(
            features, config.half_lives, config.surprise, kinds, own, num_requests
        )
        self.interest.own.requires_grad_(config.per_item)
        self.interest.occasion.requires_grad_(config.occasion)
        self.build()
        self.read = nn.Parameter(torch.empty(self.interest.memory.scales))
        self.lasting_pull = nn.Parameter(torch.empty(kinds[0], size))
        self.passing_pull = nn.Parameter(torch.empty(kinds[1], size))
        self.popular = nn.Parameter(torch.empty(()))
        self.vector = nn.Linear(hidden, size, bias=False)
        self.passing = nn.Linear(hidden, kinds[1])
        self.level = nn.Linear(hidden, 1, bias=False)
        self.choice = nn.Parameter(torch.tensor([1.0, 0.0, 0.0]))  # of ``losses.choice_loss``
        self.value = nn.Sequential(
            nn.Linear(hidden + self.interest.width, hidden), nn.Tanh(), nn.Linear(hidden, 1)
        )
        for parameter in (
            self.vector.weight,
            self.passing.weight,
            self.passing.bias,
            self.level.weight,
        ):
            nn.init.zeros_(parameter)
        self.head = head(size)
        self.head.prepare(features, config.diversity, config.loyalty)
        self.read_as_fitted()

    def read_as_fitted(self) -> None:
        """Puts the read-out where the interest's own parameters are."""
        with torch.no_grad():
            for mine, theirs in zip(
                (self.lasting_pull, self.passing_pull), self.interest.chain.pull(), strict=True
            ):
                mine.copy_(theirs)
            self.read.copy_(self.interest.read)
            self.popular.copy_(self.interest.popular)
        self.head.adopt(self.interest.chain)

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
            context: [B, T, W] the interest after each slate, as one vector.
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
        """[N, F] item vectors: those of the interest, and what was learned of them since."""
        if self.fixed is not None:
            return self.fixed[0]
        return self.perceived @ self.metric + self.item_own

    @property
    def public(self) -> Tensor:
        """[N, F] what the network may know of items: zeros with a head that knows only ids."""
        return self.features if self.head.item_features else torch.zeros_like(self.features)

    @property
    def perceived(self) -> Tensor:
        """[N, F] item vectors as the interest perceives them."""
        if self.fixed is not None:
            return self.fixed[2]
        return self.interest.items(self.public)

    @property
    def bias(self) -> Tensor:
        """[N] what is added to every item's score, sharpened."""
        if self.fixed is not None:
            return self.fixed[1]
        return self.sharpness * (self.item_bias + POPULAR * self.popular * self.average)

    def fix_items(self) -> None:
        """Keeps what follows from the weights alone as it is now: to serve, and not to learn."""
        with torch.no_grad():
            self.interest.fix()
            self.fixed = self.embedding.clone(), self.bias.clone(), self.perceived.clone()

    def forward(
        self,
        slates: Tensor,
        feedback: Tensor,
        request: Tensor,
        time: Tensor,
        last: int | None = None,
        interest: Interest | None = None,
        only: Tensor | None = None,
    ) -> Output:
        """All requests of B episodes in one causal pass.

        Args:
            slates: [B, T, K] shown at each request before, -1 for none.
            feedback: [B, T, K] graded feedback on them.
            request: [B, T] the request that follows each slate.
            time: [B, T, 4] the time of that request.
            last: score only this many requests at the end.
            interest: after each slate, where it is known already: no gradient then reaches it.
            only: [S] of these requests, some; None for all.
        """
        seen = self.perceive(slates, feedback, request, time)
        token = self.tokens(seen)
        interest = self.interest(seen) if interest is None else interest
        hidden = self.mix_whole(token, interest.vector)
        return self.read_some(hidden, interest, last, only)

    def read_some(
        self, hidden: Tensor, interest: Interest, last: int | None, only: Tensor | None
    ) -> Output:
        """``read_out`` at some of the requests, said as in ``forward``."""
        keep = slice(None) if last is None else slice(-last, None)
        hidden, interest = hidden[:, keep], interest.at(keep)
        if only is not None:
            hidden, interest = hidden[:, only], interest.at(only)
        return self.read_out(hidden, interest)

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
        seen = self.perceive(slates, feedback, request, time)
        token, interest = self.tokens(seen), self.interest(seen)
        length = token.shape[1]
        place = 0 if join is None else join.length - length
        hidden, carry = self.mix(token, interest.vector, None, place)
        output = self.read_out(hidden[:, -1:], interest.at(slice(-1, None)))
        return output, interest.carried(carry, length)

    def step(
        self, memory: Memory, slates: Tensor, feedback: Tensor, request: Tensor, time: Tensor
    ) -> tuple[Output, Memory]:
        """One more slate [B, 1, K] of each user: the cost of one token, whatever the history."""
        seen = self.perceive(slates, feedback, request, time, memory)
        interest = self.interest(seen, memory)
        hidden, carry = self.mix(self.tokens(seen), interest.vector, memory.carry)
        output = self.read_out(hidden, interest)
        return output, interest.carried(carry, memory.length + 1)

    # --- slates in, scores out -------------------------------------------------------------------

    def perceive(
        self,
        slates: Tensor,
        feedback: Tensor,
        request: Tensor,
        time: Tensor,
        before: Memory | None = None,
    ) -> Seen:
        """Looks up what was shown and asked, all as in ``forward``, after what is in memory."""
        shown = (slates >= 0).to(feedback.dtype)
        item, taken = slates.clamp_min(0), (feedback > 0).to(feedback.dtype)
        embedding = self.perceived[item] * shown[..., None]
        if before is None:
            first = Occasion.of_strangers(len(slates), self.features.shape[1])
        else:
            first = before.occasion
        law = self.interest.occasion
        after = law.after(first, embedding, slates, taken, request, time)
        then = first.then(after.map(lambda part: part[:, :-1]))  # when slates were shown
        return Seen(
            embedding=embedding,
            feedback=feedback,
            taken=taken,
            expected=self.average[item] * shown,
            shown=shown,
            request=self.request(request),
            time=time,
            lift=law.lift(then, slates) * shown,
            shown_on=then,
            occasion=after,
        )

    def tokens(self, seen: Seen) -> Tensor:
        """[B, T, hidden] a token from each slate."""
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
        return self.token(torch.cat(parts, -1))

    def follow(
        self,
        slates: Tensor,
        feedback: Tensor,
        request: Tensor | None = None,
        time: Tensor | None = None,
    ) -> Interest:
        """The dynamic interest after each of the slates [B, T, K], as far as it is known when."""
        request = slates.new_zeros(slates.shape[:2]) if request is None else request
        time = feedback.new_zeros(*slates.shape[:2], 4) if time is None else time
        return self.interest(self.perceive(slates, feedback, request, time))

    def evidence(self, slates: Tensor, feedback: Tensor, *asked: Tensor | None) -> Tensor:
        """[B, T] log-likelihood of answers, given those before; all as in ``follow``."""
        return self.follow(slates, feedback, *asked).evidence

    def weigh(self, hidden: Tensor, share: Tensor) -> Tensor:
        """[B, T, C] log-weight of each passing interest, of which ``share`` is believed."""
        return share.clamp_min(_VAGUE).log() + self.passing(hidden) + self.level(hidden)

    def likeliest(self, weight: Tensor) -> Tensor:
        """[B, T, M] the passing interests that are read out, by ``weigh``."""
        return weight.topk(min(self.config.vectors, weight.shape[-1]), dim=-1).indices

    @torch.autocast("cpu", enabled=False)  # in 8 bits rounding would choose the best
    def read_out(self, hidden: Tensor, interest: Interest, likely: Tensor | None = None) -> Output:
        """Item scores and value at each request, from what ``mix`` and the interest say.

        ``likely`` [B, T, M]: the passing interests that are read; the M likeliest if None.
        """
        hidden = hidden.float()
        value = self.value(torch.cat((hidden, interest.vector), -1))[..., 0]
        share = interest.belief.sum(2)  # [B, T, C]
        given = interest.belief / share.clamp_min(_VAGUE)[:, :, None]
        query = given.mT @ self.lasting_pull + self.passing_pull
        weight = self.weigh(hidden, share)
        if self.config.vectors == 1:
            query = (weight.softmax(-1)[..., None] * query).sum(2, keepdim=True)
            weight = weight.logsumexp(-1, keepdim=True)
        else:
            likely = self.likeliest(weight) if likely is None else likely
            weight = weight.gather(-1, likely)
            query = query.gather(2, likely[..., None].expand(-1, -1, -1, query.shape[-1]))
        recalled = (GAIN * self.read) @ interest.memories
        shared = recalled + self.interest.occasion.pull(interest.occasion).detach()
        shared = shared + self.vector(hidden)
        return Output(
            self.sharpness * (query + shared[:, :, None]),
            self.sharpness * weight,
            value,
            interest,
            self.embedding,
            self.bias,
            self.sharpness,
            self.log_worth,
            self.features,
            hidden=hidden,
            law=self.interest.occasion,
        )
