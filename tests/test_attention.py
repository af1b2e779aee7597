"""Interest-conditioned attention: what it adjusts, and what it leaves alone."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    AutoModel,
    BertConfig,
    BloomConfig,
    DebertaV2Config,
    DistilBertConfig,
    GPT2Config,
    LlamaConfig,
    MPNetConfig,
    Qwen2Config,
)
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from driftrec.agents.attention import NAME, InterestAdjuster, interest_attention, make_backbone

SMALL = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 50}
FAMILIES = {
    "llama": LlamaConfig(**SMALL, intermediate_size=64, bos_token_id=1, eos_token_id=2),
    "qwen2": Qwen2Config(**SMALL, intermediate_size=64, num_key_value_heads=2),
    "bert": BertConfig(**SMALL, intermediate_size=64),
    "gpt2": GPT2Config(
        n_embd=32, n_layer=2, n_head=4, vocab_size=50, bos_token_id=1, eos_token_id=2
    ),
}
ROTARY = {"llama", "qwen2"}
# They take ``interest=`` like any argument they do not know, and drop it.
SWALLOWING = {
    "mpnet": MPNetConfig(**SMALL, intermediate_size=64),
    "deberta-v2": DebertaV2Config(**SMALL, intermediate_size=64),
    "bloom": BloomConfig(hidden_size=32, n_layer=2, n_head=4, vocab_size=50),
}


@pytest.fixture(params=FAMILIES)
def family(request):
    torch.manual_seed(0)
    config = FAMILIES[request.param]
    model = make_backbone(config).eval()
    adjuster = InterestAdjuster(config, width=8, rank=2, rotary=request.param in ROTARY)
    return model, adjuster


def run(model, adjust=None, mask=None, tokens=None):
    tokens = torch.arange(12).view(2, 6) if tokens is None else tokens
    return model(input_ids=tokens, attention_mask=mask, interest=adjust).last_hidden_state


def stir(adjuster):
    for head in (adjuster.gain, adjuster.scale):
        torch.nn.init.normal_(head.weight, std=0.5)


def test_an_untouched_adjuster_reproduces_the_plain_model(family):
    model, adjuster = family
    plain = AutoModel.from_config(model.config, attn_implementation="sdpa").eval()
    plain.load_state_dict(model.state_dict())
    adjusted = run(model, adjuster(torch.randn(2, 6, 8)))
    torch.testing.assert_close(adjusted, run(plain), atol=1e-6, rtol=0)


def test_every_layer_uses_the_adjustment_and_gradients_reach_it(family):
    model, adjuster = family
    stir(adjuster)
    adjust = adjuster(torch.randn(2, 6, 8))
    run(model, adjust).square().sum().backward()
    assert adjust.calls == 2
    layers, heads, size = adjuster.shape
    gain = adjuster.gain.weight.grad.view(layers, heads, size, -1)
    assert (gain.abs().sum((2, 3)) > 0).all()
    assert (adjuster.scale.weight.grad.abs().sum(1) > 0).all()


def test_the_interest_moves_the_output_of_its_own_user_alone(family):
    model, adjuster = family
    stir(adjuster)
    interest = torch.randn(2, 6, 8)
    before = run(model, adjuster(interest))
    changed = interest.clone()
    changed[1] += 1
    after = run(model, adjuster(changed))
    torch.testing.assert_close(after[0], before[0], atol=0, rtol=0)
    assert (after[1] - before[1]).abs().max() > 1e-4


def test_masked_tokens_are_not_attended_to(family):
    model, adjuster = family
    stir(adjuster)
    mask = torch.ones(2, 6, dtype=torch.long)
    mask[:, 4:] = 0
    adjust = adjuster(torch.randn(2, 6, 8))
    other = torch.arange(12).view(2, 6).clone()
    other[:, 4:] = 49
    seen = run(model, adjust, mask)[:, :4]
    torch.testing.assert_close(seen, run(model, adjust, mask, other)[:, :4], atol=1e-6, rtol=0)


def test_with_rotary_positions_a_shared_gain_keeps_scores_relative():
    torch.manual_seed(0)
    config = FAMILIES["llama"]
    model = AutoModel.from_config(config, attn_implementation=NAME).eval()
    adjuster = InterestAdjuster(config, width=8, rank=0, rotary=True)
    torch.nn.init.normal_(adjuster.gain.weight, std=0.5)
    adjust = adjuster(torch.randn(1, 6, 8))
    tokens, places = torch.arange(6)[None], torch.arange(6)[None]
    near, far = (
        model(input_ids=tokens, position_ids=places + shift, interest=adjust).last_hidden_state
        for shift in (0, 300)
    )
    torch.testing.assert_close(near, far, atol=1e-4, rtol=0)


@pytest.mark.parametrize("family", SWALLOWING)
def test_a_family_that_swallows_the_interest_is_refused(family):
    message = f"got '{family}': it reached 0 of 2 layers and the output stayed as it was; bert, "
    with pytest.raises(ValueError, match=message):
        make_backbone(SWALLOWING[family])


def test_a_family_that_adjusts_some_layers_only_is_refused(monkeypatch):
    def forgetful(module, *args, interest=None, **kwargs):
        interest = interest if module.layer_idx == 1 else None
        return interest_attention(module, *args, interest=interest, **kwargs)

    monkeypatch.setitem(ALL_ATTENTION_FUNCTIONS._global_mapping, NAME, forgetful)
    with pytest.raises(ValueError, match="reached 1 of 2 layers and the output moved"):
        make_backbone(FAMILIES["llama"])


def test_a_family_whose_layers_have_no_number_is_refused():
    config = DistilBertConfig(dim=32, hidden_dim=64, n_layers=2, n_heads=4, vocab_size=50)
    with pytest.raises(ValueError, match="does not say which layer it is in"):
        make_backbone(config)


def test_the_check_leaves_mode_and_random_numbers_alone():
    torch.manual_seed(0)
    plain = AutoModel.from_config(FAMILIES["gpt2"], attn_implementation=NAME)
    drawn = torch.rand(3)
    torch.manual_seed(0)
    checked = make_backbone(FAMILIES["gpt2"])
    assert checked.training == plain.training
    assert torch.equal(torch.rand(3), drawn)
