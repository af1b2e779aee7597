"""Slates by expected reward: against all slates there are, and against the simulator's own law."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch

from driftrec.agents import expected
from driftrec.agents.chain import InterestChain
from driftrec.agents.earned import Earned
from driftrec.agents.expected import ExpectedReward, earns_at
from driftrec.agents.occasion import Occasion
from driftrec.agents.output import Output
from driftrec.agents.reading import Interest
from driftrec.agents.tape import Episodes
from driftrec.simulators.response import Funnel, Listen, Read, Watch


def output(users=3, beliefs=2, items=6, size=4, seed=0, gone=None):
    """What a network might say; the worth of items differs by a factor of some three."""
    generator = torch.Generator().manual_seed(seed)
    query = 4 * torch.randn(users, 1, beliefs, size, generator=generator)
    features = torch.nn.functional.normalize(torch.randn(items, size, generator=generator), dim=1)
    log_worth = torch.linspace(-0.5, 0.7, items)
    none = torch.zeros(users, 1)
    return Output(
        query,
        torch.randn(users, 1, beliefs, generator=generator),
        none,
        Interest(
            none[..., None, None], none[..., None, None], none, Occasion.of_strangers(users, size)
        ),
        features,
        log_worth + 0.1,
        torch.ones(()),
        log_worth,
        features,
        available=gone,
    )


def head(charge=0.0, loyalty=0.0, size=4):
    made = ExpectedReward(size)
    made.prepare(torch.zeros(1, size), charge, loyalty)
    made.outside.data.fill_(1.0)
    return made


def reward_by_hand(said, made, slate):
    """Expected reward of one user's slate, written out."""
    total = 0.0
    for share, query in zip(said.weight[0, 0].softmax(0), said.query[0, 0], strict=True):
        utility = said.features[slate] @ query + 0.1
        place = torch.arange(len(slate)) * made.position
        odds = (utility + place - made.outside).exp()
        grade = torch.sigmoid(made.grade[0] * utility + made.grade[1])
        earns = said.log_worth[slate].exp() * grade
        total += (share * (odds * earns).sum() / (1 + odds.sum())).item()
    return total


def test_each_slot_adds_most_to_the_expected_reward():
    said, made = output(users=1), head()
    slate = made.best(said, 3)[0].tolist()
    for slot in range(3):
        others = [j for j in range(6) if j not in slate[:slot]]
        worth = [reward_by_hand(said, made, [*slate[:slot], j]) for j in others]
        assert others[int(np.argmax(worth))] == slate[slot]


def test_what_adds_most_comes_near_the_best_slate_there_is():
    shares = []
    for seed in range(10):
        said, made = output(users=1, beliefs=3, seed=seed), head()
        best = max(reward_by_hand(said, made, list(s)) for s in permutations(range(6), 3))
        shares.append(reward_by_hand(said, made, made.best(said, 3)[0].tolist()) / best)
    assert min(shares) > 0.9 and np.mean(shares) > 0.98


def test_a_cheap_item_stays_out_where_it_would_keep_from_a_better_one():
    said, made = output(users=1, beliefs=1, items=3), head()
    said.query = torch.zeros_like(said.query)
    said.log_worth = torch.tensor([0.0, 2.0, -4.0])
    said.bias = said.log_worth + torch.tensor([5.0, 5.0, 9.5])
    assert made.best(said, 2)[0].tolist() == [1, 0]
    assert said.scores[0, 0].argsort(descending=True).tolist() == [1, 2, 0]


def test_probabilities_of_all_slates_sum_to_one():
    said, made = output(users=1), head(charge=1.5, loyalty=0.5)
    slates = torch.tensor(list(permutations(range(6), 3)))
    none = torch.zeros(0)
    log_prob = torch.stack([made.log_probability(said, s[None, None], none) for s in slates])
    assert log_prob.sum((1, 2, 3)).exp().sum().item() == pytest.approx(1, abs=1e-4)


def test_likeness_is_charged():
    said = output(users=1, beliefs=1, items=3)
    said.features = torch.eye(4)[:3].clone()
    said.features[1] = said.features[0]
    said.query = torch.zeros_like(said.query)
    said.log_worth = torch.zeros(3)
    said.bias = torch.tensor([1.0, 0.9, -0.5])
    assert head().best(said, 2)[0].tolist() == [0, 1]
    assert head(charge=8.0).best(said, 2)[0].tolist() == [0, 2]


def many(items, charge):
    return output(users=40, beliefs=5, items=items, size=8), head(charge, 0.7, size=8)


@pytest.mark.parametrize("items", [6, 150, 600])
@pytest.mark.parametrize("charge", [0.0, 2.0])
def test_slates_are_drawn_as_likely_as_they_are_said_to_be(items, charge):
    said, made = many(items, charge)
    drawn = made.draw(said, 5)
    again = made.log_probability(said, drawn.slates[:, None], drawn.proto)[:, 0]
    assert torch.allclose(drawn.log_probability, again, atol=2e-4)


@pytest.mark.parametrize("items", [6, 150, 600])
@pytest.mark.parametrize("charge", [0.0, 2.0])
def test_nothing_is_likelier_in_a_slot_than_what_is_best(items, charge):
    said, made = many(items, charge)
    best, found = made.best(said, 5), made._candidates(said, 5)
    others = found[0][:, 0]  # [B, L] for each slot of best [B, K]
    same = [part.expand(-1, others.shape[1], -1) for part in found[:2]]
    made._candidates = lambda *_: (*same, found[2])  # whatever is asked of them
    parts = {name: getattr(said, name) for name in ("query", "weight", "value")}
    each = {name: part.repeat_interleave(others.shape[1], 1) for name, part in parts.items()}
    asked = replace(said, **each)
    for slot in range(5):
        above = best[:, None, :slot].expand(-1, others.shape[1], -1)
        slates = torch.cat((above, others[..., None]), -1)
        with torch.no_grad():
            log_prob = made.log_probability(asked, slates, torch.zeros(0))[..., slot]
        log_prob[(above == others[..., None]).any(-1)] = -torch.inf
        likeliest = others.gather(1, log_prob.argmax(1, keepdim=True))
        assert torch.equal(best[:, slot], likeliest[:, 0])


def test_slates_come_as_often_as_their_probability_says():
    said, made = output(users=1, items=4), head(charge=1.5, loyalty=0.5)
    parts = {name: getattr(said, name) for name in ("query", "weight", "value")}
    alike = {name: part.expand(20_000, *part.shape[1:]) for name, part in parts.items()}
    drawn = made.draw(replace(said, **alike), 2).slates
    for slate in permutations(range(4), 2):
        share = (drawn == torch.tensor(slate)).all(1).float().mean().item()
        log_prob = made.log_probability(said, torch.tensor(slate)[None, None], torch.zeros(0))
        assert share == pytest.approx(log_prob.sum().exp().item(), abs=0.012)


def test_among_many_items_candidates_are_those_that_count():
    said, made = output(users=40, beliefs=4, items=700, size=8, seed=2), head(charge=1.0, size=8)
    few = made.best(said, 5)
    everything = torch.arange(700).expand(40, 1, 700)
    whole = made._offer(said, *expected._utility(said))
    made._candidates = lambda *_: (everything, torch.zeros(everything.shape), whole)
    assert (few == made.best(said, 5)).float().mean(0)[:3].min() > 0.9


def test_a_slate_may_be_longer_than_what_is_looked_at_for_a_short_one():
    said, made = output(users=2, items=700, seed=2), head()
    assert all(len(set(row)) == 130 for row in made.best(said, 130).tolist())


def test_what_is_not_to_be_had_is_no_candidate():
    available = torch.zeros(8, 1, 300, dtype=torch.bool)
    available[..., 100:104] = True
    said, made = output(users=8, items=300, gone=available), head()
    assert set(made.best(said, 4).flatten().tolist()) <= set(range(100, 104))
    slates = made.draw(said, 6).slates  # two slots more than items
    assert all(len(set(row)) == 6 for row in slates.tolist())
    assert set(range(100, 104)) <= set(slates[0].tolist())


def test_answers_are_as_likely_as_the_chain_says():
    torch.manual_seed(0)
    said, made = output(beliefs=3), head()
    chain = InterestChain(said.features, 1, 3)
    made.adopt(chain)
    slates = torch.tensor([[0, 2, 4], [1, 5, -1], [3, 1, 0]])
    feedback = torch.tensor([[0.0, 0.6, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]])
    items, shown = slates.clamp_min(0), (slates >= 0).float()
    lift = said.features[items] @ said.query[:, 0].mT
    lesson = chain.learn(
        said.weight.softmax(-1),
        (torch.zeros(3, 3, 1), lift),
        torch.full((3, 3), 0.1),
        shown,
        (feedback > 0).float(),
        feedback,
    )
    mine = made.log_likelihood(said, slates[:, None], feedback[:, None])
    torch.testing.assert_close(mine[:, 0], lesson.evidence, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sharpness", [1.0, 3.0])
def test_gradients_reach_what_is_learned(sharpness):
    said, made = output(items=200), head(charge=1.0, loyalty=1.0)
    for name in ("query", "weight", "bias"):
        part = getattr(said, name) * sharpness
        setattr(said, name, part.detach().requires_grad_())
    said.sharpness = torch.tensor(sharpness)
    slates = made.best(said, 4)
    made.log_probability(said, slates[:, None], torch.zeros(0)).sum().backward()
    learned = [said.query, said.weight, said.bias, *made.parameters()]
    assert all(part.grad is not None and torch.isfinite(part.grad).all() for part in learned)
    assert all(part.grad.abs().sum() > 0 for part in learned)


LAWS = {
    "watch": Watch(),
    "read": Read(),
    "listen": Listen(),
    "funnel": Funnel(cart=3.0, buy=4.0),
}


@pytest.mark.parametrize("law", LAWS)
def test_what_a_grade_earns_is_read_off_answers(law):
    response, random = LAWS[law], np.random.default_rng(0)
    utility = random.normal(3, 1.5, 20_000).astype(np.float32)
    grade = response.grade(utility, random.random((20_000, 2), dtype=np.float32))
    reward = response.reward(grade, np.full(20_000, 2.0, np.float32))
    shape = (200, 100)
    feedback = torch.zeros(*shape, 2)
    feedback[..., 1] = torch.as_tensor(grade).view(shape)
    flat = torch.zeros(shape)
    episodes = Episodes(
        torch.ones(*shape, 2, dtype=torch.long),
        feedback,
        flat.long(),
        torch.zeros(*shape, 4),
        torch.as_tensor(reward).view(shape),
        feedback,
        flat + 1,
        flat[..., None],
        flat,
        flat[..., None],
    )
    books = Earned(torch.tensor([1.0, 2.0]))
    assert books.law(0.5) == (1.0, 0.0, 0.0)
    books.read(episodes)
    spread, middle = (0.5, 3.0) if law != "funnel" else (1.0, 3.6)
    found = earns_at(torch.as_tensor(utility - middle), torch.tensor(books.law(spread)))
    true = response.expected_reward(utility, np.ones_like(utility))
    assert np.abs(found.numpy() - true).mean() < (0.04 if law != "funnel" else 0.12)
    assert np.corrcoef(found, true)[0, 1] > 0.98
