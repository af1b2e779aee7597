"""Facts about the dynamic interest: the chain of passing interests, and its fit on a log."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch

from driftrec.agents.chain import InterestChain
from driftrec.agents.learners import make_learner
from driftrec.agents.logfit import fit_interest
from driftrec.agents.optimizer import MuonAdamW
from driftrec.agents.platform import Platform
from driftrec.envs.sb3 import BatchVecEnv
from driftrec.experiments.worlds import make_batch

G, C = 2, 4


def chain(items=9, size=3):
    torch.manual_seed(0)
    features = torch.nn.functional.normalize(torch.randn(items, size), dim=1)
    made = InterestChain(features, G, C)
    with torch.no_grad():
        for part in (made.lasting, made.prior, made.follow):
            part += 0.1 * torch.randn(part.shape)
    return made, features


def learn(made, belief, embedding, utility, grade):
    shown = torch.ones_like(grade)
    with torch.no_grad():
        lift = made.law().lift(embedding)
        return made.learn(belief, lift, utility, shown, (grade > 0).float(), grade)


def share(made, belief, embedding, utility):
    """[K + 1] probability of each slot, or of nothing, and [K + 1, G, C] given each pair."""
    lasting, passing = (pull.detach().double().numpy() for pull in made.pull())
    odds = np.empty((len(embedding) + 1, G, C))
    for g in range(G):
        for c in range(C):
            for k, item in enumerate(embedding.double().numpy()):
                place = k * made.position.item()
                match = float((lasting[g] + passing[c]) @ item)
                odds[k, g, c] = np.exp(match + float(utility[k]) + place)
            odds[-1, g, c] = np.exp(made.outside.item())
    given = odds / odds.sum(0)
    return (given * belief).sum((1, 2)), given


def test_the_chain_learns_and_moves_as_a_forward_pass_in_loops_says():
    made, features = chain()
    belief = made.start().detach()[None]
    want = belief[0].double().numpy()
    with torch.no_grad():
        made.grade.copy_(torch.tensor([0.7, -1.0, 0.3]))
    slope, offset, spread = 0.7, -1.0, np.exp(0.3)
    for step in range(6):
        slate, utility = features[step : step + 3], torch.linspace(-1, 1, 3)
        grade = torch.zeros(1, 3)
        if step % 3:
            grade[0, step % 3] = 0.2 * step
        lesson = learn(made, belief, slate[None], utility[None], grade)
        _, given = share(made, want, slate, utility)
        taken = step % 3 if step % 3 else 3
        likelihood = given[taken]
        if taken < 3:
            y = 0.2 * step if step < 5 else 0.98
            match = np.log(likelihood / given[3]) + made.outside.item()  # utility of what was taken
            error = (np.log(y / (1 - y)) - slope * match - offset) / spread
            likelihood = likelihood * np.exp(-error) / (1 + np.exp(-error)) ** 2 / spread
        joint = want * likelihood
        assert lesson.evidence.item() == pytest.approx(np.log(joint.sum()), abs=1e-4)
        want = joint / joint.sum()
        np.testing.assert_allclose(lesson.belief[0].numpy(), want, atol=1e-5)

        lasts, typical, changes = torch.sigmoid(made.change).tolist()
        start = made.start().detach().double().numpy()
        follow = (10 * made.follow.detach()).softmax(1).double().numpy()
        moved = np.empty_like(want)
        for g in range(G):
            own = start[g] / start[g].sum()
            ended = (1 - typical) * want[g] @ follow + typical * want[g].sum() * own
            moved[g] = lasts * want[g] + (1 - lasts) * ended
        want = (1 - changes - 0.001) * moved + (changes + 0.001) * start
        belief = made.move(lesson.belief, made.law()).detach()
        np.testing.assert_allclose(belief[0].numpy(), want, atol=1e-5)


def test_blame_is_the_gradient_of_the_evidence_in_each_utility():
    made, features = chain()
    utility = torch.linspace(-1, 1, 3).double()[None].requires_grad_()
    made, features = made.double(), features.double()
    for grade in ([0.0, 0.3, 0.0], [0.0, 0.0, 0.0], [0.6, 0.0, 0.9]):
        answer = torch.tensor([grade]).double()
        lift = made.law().lift(features[None, :3])
        lesson = made.learn(
            made.start()[None],
            lift,
            utility,
            torch.ones_like(answer),
            (answer > 0).double(),
            answer,
        )
        (gradient,) = torch.autograd.grad(lesson.evidence.sum(), utility)
        torch.testing.assert_close(lesson.blame, gradient)


def test_all_that_can_be_chosen_from_a_slate_has_probability_one():
    made, features = chain()
    with torch.no_grad():
        made.grade[0] = 0.0  # the grade says nothing: its density is the same whatever was taken
    answers = torch.cat((0.5 * torch.eye(3), torch.zeros(1, 3)))
    belief = made.start().detach().expand(4, -1, -1)
    utility = torch.linspace(-1, 1, 3).expand(4, -1)
    lesson = learn(made, belief, features[:3].expand(4, -1, -1), utility, answers)
    spread = made.grade[2].detach().exp()
    error = -made.grade[1].detach() / spread
    density = error - 2 * torch.nn.functional.softplus(error) - spread.log()
    chance = (lesson.evidence - density * torch.tensor([1.0, 1, 1, 0])).exp()
    assert chance.sum().item() == pytest.approx(1, abs=1e-5)


def test_an_empty_slate_teaches_nothing():
    made, _ = chain()
    belief, nothing = made.start().detach()[None], torch.zeros(1, 3)
    with torch.no_grad():
        lesson = made.learn(belief, made.law().lift(torch.zeros(1, 3, 3)), *[nothing] * 4)
    torch.testing.assert_close(lesson.belief, belief)
    assert lesson.evidence.item() == pytest.approx(0, abs=1e-6) and not lesson.blame.any()


@pytest.fixture(scope="module")
def users():
    return BatchVecEnv(make_batch("driftrec/DriftingInterest-v0", 4, {}))


def test_fitting_on_a_log_foretells_choices_of_other_users(users):
    log, network = Platform.of(users).log, make_learner("gru", "ppo", users).policy.network
    others = torch.as_tensor(log.slates[-200:]).long(), torch.as_tensor(log.feedback[-200:])

    def surprise():
        with torch.no_grad():
            return -network.evidence(*others).mean().item()

    before = surprise()
    generator = np.random.default_rng(0)
    losses = fit_interest(network, log.slates[:640], log.feedback[:640], 2, generator)
    assert len(losses) == 20
    assert surprise() < before - 0.1


def test_no_pass_over_the_log_leaves_a_network_as_it_is(users):
    log, network = Platform.of(users).log, make_learner("gru", "ppo", users).policy.network
    before = {name: part.clone() for name, part in network.state_dict().items()}
    assert fit_interest(network, log.slates, log.feedback, 0, np.random.default_rng(0)) == []
    for name, part in network.state_dict().items():
        assert torch.equal(part, before[name]), name


def test_the_optimiser_goes_on_from_its_saved_state():
    def make():
        torch.manual_seed(0)
        layer = torch.nn.Linear(20, 30)
        return layer, MuonAdamW(layer.parameters(), lr=1e-2)

    def descend(layer, optimizer):
        optimizer.zero_grad()
        layer(torch.ones(1, 20)).square().sum().backward()
        optimizer.step()

    (layer, optimizer), (other, later) = make(), make()
    descend(layer, optimizer)
    other.load_state_dict(layer.state_dict())
    later.load_state_dict(deepcopy(optimizer.state_dict()))
    descend(layer, optimizer)
    descend(other, later)
    assert torch.equal(layer.weight, other.weight) and torch.equal(layer.bias, other.bias)
    assert not torch.equal(layer.weight, make()[0].weight)
