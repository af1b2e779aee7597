"""Facts about explanations: they add up, they point at the cause, and they are drawn."""

from __future__ import annotations

import copy
import datetime
import sys

import numpy as np
import pytest
import torch
from stirred import stirred_model
from transformers import LlamaConfig

import driftrec.envs  # noqa: F401
from driftrec.agents.attention import make_backbone
from driftrec.agents.explain import FEATURES, Explanation, attention_maps, explain
from driftrec.agents.serving import Event, Recommender
from driftrec.experiments.explaining import as_text, draw

pytest.importorskip("captum", reason="explanations need the extra driftrec[explain]")

NOW = datetime.datetime(2026, 5, 6, 18, 0)


def make_recommender(name: str = "interest-attention", vectors: int = 24) -> Recommender:
    """A recommender of a small model whose every part has a say, and a user with ten events."""
    model = stirred_model(name, ("q_proj.weight", "k_proj.weight"), vectors=vectors)
    recommender, rng = Recommender(model), np.random.default_rng(0)
    for step in range(10):
        item, when = model.items.ids[rng.integers(1000)], NOW + datetime.timedelta(minutes=step)
        recommender.observe(Event("anna", item, float(step % 2), when))
    return recommender


def told_again(recommender: Recommender) -> Recommender:
    """One that reads the same events by the same network as it is now."""
    again = Recommender(recommender.model)
    again.restore(recommender.events("anna"))
    return again


@pytest.fixture(scope="module")
def recommender() -> Recommender:
    return make_recommender()


@pytest.fixture(scope="module")
def why(recommender: Recommender) -> Explanation:
    best = recommender.recommend("anna", k=3, at=NOW)[2]
    return explain(recommender, "anna", best.item_id, at=NOW)


def test_contributions_add_up_to_the_score(recommender: Recommender, why: Explanation) -> None:
    best = recommender.recommend("anna", k=3, at=NOW)[2]
    whole = recommender.recommend("anna", k=1000, at=NOW)
    assert why.title == best.title and why.rank == 1 + sum(w.score > best.score for w in whole)
    assert why.score == pytest.approx(best.score, abs=1e-4)
    assert why.contribution.shape == (10, len(FEATURES))
    moved = abs(why.score - why.baseline)
    assert moved > 0.5
    assert abs(why.gap) < 0.02 * moved
    coarse = explain(recommender, "anna", best.item_id, at=NOW, steps=2)
    assert abs(coarse.gap) > 10 * abs(why.gap)  # it is the integral that adds up


def test_they_add_up_where_only_the_likeliest_interests_are_served() -> None:
    sure = make_recommender(vectors=2)
    network = sure.model.network
    with torch.no_grad():  # a belief that moves from one interest to another, as a fitted one does
        network.interest.chain.log_gain.copy_(torch.tensor([5.0, 6.0]).log())
    network.read_as_fitted()
    sure = told_again(sure)
    best = sure.recommend("anna", k=1, at=NOW)[0]
    why = explain(sure, "anna", best.item_id, at=NOW)
    assert why.score == pytest.approx(best.score, abs=1e-4)
    assert abs(why.gap) < 0.02 * abs(why.score - why.baseline)


@pytest.mark.parametrize("name", ["attention", "gru", "mlp"])
def test_every_network_is_explained(name: str) -> None:
    other = make_recommender(name)
    best = other.recommend("anna", k=1, at=NOW)[0]
    why = explain(other, "anna", best.item_id, at=NOW)
    assert abs(why.gap) < 0.02 * abs(why.score - why.baseline)
    assert (why.attention is None) == (name in ("gru", "mlp"))
    if name == "attention":  # which the interest does not adjust
        np.testing.assert_array_equal(why.attention, why.unconditioned)
    draw(why)


def test_a_liked_item_of_the_same_kind_adds_most(recommender: Recommender) -> None:
    items = recommender.items
    alike = np.flatnonzero(items.topic == items.topic[0])
    embedding = recommender.model.network.embedding
    likeness = (embedding[alike[1:]] @ embedding[alike[0]]).numpy()
    twin = items.ids[alike[1:][likeness.argmax()]]
    loner = items.ids[int((embedding @ embedding[alike[0]]).argmin())]
    for item in (loner, twin, loner):
        recommender.observe(Event("ben", item, 1.0, NOW))
    why = explain(recommender, "ben", items.ids[alike[0]], at=NOW)
    added = why.contribution[:, :2].sum(1)
    assert added.argmax() == 1 and added[1] > 0


def test_attention_is_causal_and_the_interest_moves_it(why: Explanation) -> None:
    for maps in (why.attention, why.unconditioned):
        assert maps is not None and maps.shape == (2, 4, 10, 10)
        np.testing.assert_allclose(maps.sum(-1), 1, atol=1e-5)
        assert (np.triu(maps, 1) == 0).all()
    assert np.abs(why.attention - why.unconditioned)[:, :, -1].max() > 1e-3


@pytest.mark.parametrize("name", ["static-attention", "interest-attention"])
def test_what_was_served_to_a_long_history_is_what_is_explained(name, monkeypatch) -> None:
    monkeypatch.setattr("driftrec.agents.serving.reader.LONGEST", 8)
    monkeypatch.setattr("driftrec.agents.serving.reader.KEPT", 4)
    recommender = make_recommender(name)
    for step in range(10, 13):
        recommender.observe(
            Event("anna", recommender.items.ids[step], 1.0, NOW + datetime.timedelta(minutes=step))
        )
    best = recommender.recommend("anna", k=1, at=NOW)[0]
    why = explain(recommender, "anna", best.item_id, at=NOW, steps=2)
    assert why.score == pytest.approx(best.score, abs=1e-4)
    assert len(why.events) == (8 if name == "static-attention" else 9)


def test_heads_that_share_their_keys_are_told_apart(recommender: Recommender) -> None:
    network = copy.deepcopy(recommender.model.network)
    network.backbone = make_backbone(
        LlamaConfig(
            vocab_size=1, hidden_size=16, intermediate_size=32, num_hidden_layers=2,
            num_attention_heads=4, num_key_value_heads=2, bos_token_id=None, eos_token_id=None,
        )
    )  # fmt: skip
    read = recommender.attended("anna")[1]
    seen = network.perceive(*recommender.reader.tensors(read, recommender.asked("", NOW)))
    maps = attention_maps(network, seen)
    assert maps is not None and maps.shape == (2, 4, 10, 10)
    np.testing.assert_allclose(maps.sum(-1), 1, atol=1e-5)


def test_the_maps_are_those_of_the_network_itself(recommender: Recommender) -> None:
    network, reader = recommender.model.network, recommender.reader
    seen = network.perceive(
        *reader.tensors(recommender.attended("anna")[1], recommender.asked("", NOW))
    )
    maps = attention_maps(network, seen)
    token, context = network.tokens(seen), network.interest(seen).vector
    layer = network.backbone.layers[0]
    values: list[torch.Tensor] = []
    hooks = [
        layer.self_attn.v_proj.register_forward_hook(lambda m, a, out: values.append(out)),
        layer.self_attn.o_proj.register_forward_pre_hook(lambda m, a: values.append(a[0])),
    ]
    network.mix_whole(token, context)
    for hook in hooks:
        hook.remove()
    value = values[0].view(10, 4, -1).transpose(0, 1)  # [H, T, D]
    mixed = torch.as_tensor(maps[0]) @ value
    torch.testing.assert_close(
        mixed.transpose(0, 1).reshape(10, -1), values[1][0], atol=1e-5, rtol=0
    )


def test_the_interest_in_words_names_what_was_liked(recommender: Recommender) -> None:
    items = recommender.items
    kind = {items.title[item] for item in np.flatnonzero(items.topic == 5)}
    liked = np.flatnonzero(items.topic == 5)[:6]
    for item in liked:
        recommender.observe(Event("cleo", items.ids[item], 1.0, NOW))
    why = explain(recommender, "cleo", items.ids[liked[0]], at=NOW)
    assert [words.name for words in why.interest][-1] == "read-out"
    assert why.interest[-2].name.startswith("likeliest, ")
    for words in why.interest[:-2]:
        assert words.topics[0][0] == items.topic_names[5]
        assert {title for title, _ in words.items} <= kind


def test_a_user_without_events_is_explained_by_the_request(recommender: Recommender) -> None:
    request = recommender.items.requests[1]
    why = explain(recommender, "nobody", recommender.items.ids[0], request, NOW)
    assert why.events == () and why.contribution.shape == (1, 4)
    assert abs(why.contribution[0, 2]) > 0 and not why.contribution[0, :2].any()
    assert "the request alone" in as_text(why)
    draw(why)


def test_the_text_names_item_events_and_interest(why: Explanation) -> None:
    text = as_text(why)
    assert text.startswith(f"{why.title}: rank {why.rank}, score {why.score:.3f}")
    assert "interest (half-life 64):" in text and "layer 2: the interest moves" in text
    for row, title in enumerate(why.titles):
        assert f"{row + 1}. {title[:20]}" in text


def test_the_figure_shows_contributions_attention_and_words(why: Explanation) -> None:
    figure = draw(why)
    titles = [axes.get_title(loc="left").split(",")[0] for axes in figure.axes]
    maps = ["attention of the newest request", "without interest", "with it"]
    assert titles[0] == "What each event (feedback) adds" and titles[-1] == "The interest in words"
    assert [title.split(": ")[-1] for title in titles[1:-1]] == maps * 2
    drawn = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(drawn) == 10 and drawn[0].startswith("1. ")


def test_an_unknown_item_or_a_missing_captum_is_named(
    recommender: Recommender, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="item must be an id of the catalogue, got 'nothing'"):
        explain(recommender, "anna", "nothing")
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(ValueError, match=r"pip install 'driftrec\[explain\]'"):
        explain(recommender, "anna", recommender.items.ids[0])
