"""The compiled interest of those who are served is the one that learned."""

import pytest
import torch
from torch.nn.functional import normalize

from driftrec.agents.dynamic import DynamicInterest
from driftrec.agents.occasion import Occasion
from driftrec.agents.reading import Memory, Seen

ITEMS, SIZE, REQUESTS = 50, 12, 4


def interest(surprise=True, kinds=(5, 7)):
    features = normalize(torch.randn(ITEMS, SIZE), dim=1)
    own = torch.zeros(ITEMS, SIZE)
    made = DynamicInterest(features, (64.0, 16.0, 4.0), surprise, kinds, own, REQUESTS)
    for parameter in made.parameters():  # away from where a fit begins
        parameter.data += 0.3 * torch.randn_like(parameter)
    return made


def seen(users=5, steps=30, slots=4):
    """Slates with empty slots, of which none, one or several items are taken."""
    there = (torch.rand(users, steps, slots) < 0.8).float()
    feedback = torch.rand_like(there) * (torch.rand_like(there) < 0.3) * there
    some = torch.randn(users, steps, slots, SIZE), torch.rand_like(there), torch.randn_like(there)
    embedding, expected, lift = normalize(some[0], dim=3), *(part * there for part in some[1:])
    nothing = torch.zeros(users, steps, 16), torch.zeros(users, steps, 4)
    request = torch.randint(REQUESTS, (users, steps))
    lately = torch.full((users, steps, 24), -1)
    shown_on = Occasion(torch.randn(users, steps, SIZE), lately, request, nothing[1])
    return Seen(
        embedding * there[..., None],
        feedback,
        (feedback > 0).float(),
        0.2 * expected,
        there,
        *nothing,
        0.5 * lift,
        shown_on,
        shown_on,
    )


@pytest.mark.parametrize("surprise", [True, False])
@pytest.mark.parametrize(("users", "steps", "slots"), [(5, 30, 4), (1, 1, 1), (3, 2, 10)])
def test_whoever_is_served_is_followed_as_when_it_learned(users, steps, slots, surprise):
    torch.manual_seed(0)
    made, told = interest(surprise), seen(users, steps, slots)
    memory, belief = torch.randn(users, 3, SIZE), torch.rand(users, 5, 7)
    known = Memory(memory, belief / belief.sum((1, 2), keepdim=True), told.occasion, None, 1)
    with torch.no_grad():
        before = [made(told), made(told, known)]
        made.fix()
        after = [made(told), made(told, known)]
    for learned, served in zip(before, after, strict=True):
        assert torch.allclose(learned.memories, served.memories, atol=1e-5)
        assert torch.allclose(learned.belief, served.belief, atol=1e-5)
        assert torch.allclose(learned.evidence, served.evidence, atol=1e-4)
    assert not torch.equal(before[0].belief, before[1].belief)
    assert torch.equal(memory, known.interest)  # what came before is left as it is


def test_what_is_asked_for_why_still_gets_its_gradient():
    torch.manual_seed(0)
    made, told = interest(), seen()
    made.fix()
    told.embedding.requires_grad_()
    made(told).belief.square().sum().backward()
    assert told.embedding.grad.abs().sum() > 0
