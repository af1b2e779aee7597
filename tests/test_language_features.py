"""Item vectors from several modalities, and a user model that knows items by their text."""

from __future__ import annotations

from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

import driftrec.envs  # noqa: F401
from driftrec.agents import Platform
from driftrec.agents.language import (
    Fusion,
    Modalities,
    fused_features,
    held_out_likeness,
    text_features,
)
from driftrec.agents.learners import make_learner
from driftrec.envs.sb3 import BatchVecEnv


@pytest.fixture
def world(rng):
    """Items whose vectors follow from text, price band and image; some have no image."""
    text, image = rng.normal(size=(300, 8)), rng.normal(size=(300, 3))
    price = rng.lognormal(3, 1, 300)
    middle = np.exp(-np.square(np.log(price) - 3))[:, None]  # neither cheap nor dear
    target = text @ rng.normal(size=(8, 6)) + 6 * middle * rng.normal(size=6)
    target += image @ rng.normal(size=(3, 6))
    image[rng.random(300) < 0.2] = np.nan
    vectors = {"text": text.astype("f4"), "image": image.astype("f4")}
    items = Modalities(vectors, {"price": price.astype("f4")})
    return items, target.astype("f4")


def test_every_modality_that_matters_is_missed(world):
    items, target = world
    whole = held_out_likeness(items, target)
    assert whole > 0.9
    for name in ("text", "image", "price"):
        assert held_out_likeness(items, target, without=[name]) < whole - 0.02


def test_a_modality_that_says_nothing_is_not_missed(world, rng):
    items, target = world
    noise = rng.random(300).astype("f4")
    more = Modalities(items.vectors, {**items.numbers, "age": noise})
    difference = held_out_likeness(more, target) - held_out_likeness(items, target)
    assert abs(difference) < 0.01


def test_what_is_unknown_counts_as_average_and_new_items_need_no_target(world):
    items, target = world
    fusion = Fusion.fit(items.take(np.arange(200)), target[:200])
    new = items.take(np.arange(200, 300))
    vectors = fusion(new)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    blank = Modalities(
        {name: np.full_like(values, np.nan) for name, values in new.vectors.items()},
        {"price": np.full(100, np.nan, "f4")},
    )
    average = fusion.offset / np.linalg.norm(fusion.offset)
    np.testing.assert_allclose(fusion(blank), np.tile(average, (100, 1)), atol=1e-5)


def test_modalities_of_another_form_are_refused(world):
    items, target = world
    text = items["text"]
    with pytest.raises(ValueError, match="price must have 1 axes and 300 rows"):
        Modalities({"text": text}, {"price": np.ones(7, "f4")})
    with pytest.raises(ValueError, match="price must be at least 0, got -1"):
        Modalities({"text": text}, {"price": np.full(300, -1, "f4")})
    with pytest.raises(ValueError, match="at least one modality"):
        Modalities()
    with pytest.raises(ValueError, match="without must leave some of text, image, price"):
        Fusion.fit(items, target, without=["size"])
    with pytest.raises(ValueError, match=r"items must have \['image'\]"):
        Fusion.fit(items, target, without=["price"])(Modalities({"text": text}))


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Folder of a random model that knows the words of the video catalogue's topics."""
    monkeypatch.setenv("DRIFTREC_CACHE", str(tmp_path / "cache"))
    env = gym.make("driftrec/Video-v0", history=2)
    words = sorted({w for name in Platform.of(env).catalog.topic_names for w in name.split()})
    ids = {word: i for i, word in enumerate(["[PAD]", "[UNK]", ".", *words])}
    model = Tokenizer(models.WordLevel(ids, unk_token="[UNK]"))
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token="[PAD]", unk_token="[UNK]"
    ).save_pretrained(tmp_path / "model")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(ids),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        initializer_range=0.3,
    )
    BertModel(config).save_pretrained(tmp_path / "model")
    return str(tmp_path / "model")


def test_the_user_model_reads_the_episode_with_vectors_of_texts(tiny, small, check_saved):
    env = BatchVecEnv(gym.make_vec("driftrec/Video-v0", num_envs=4, diagnostics=False, **small))
    options = {"seed": 1, "hidden": 16, "pretrain_steps": 24, "privileged": True}
    learner = make_learner("interest-attention", "ppo", env, text=tiny, text_width=24, **options)
    features = learner.policy.network.features
    assert features.shape == (1000, 24)
    catalog = Platform.of(env).catalog
    np.testing.assert_allclose(features.numpy(), text_features(catalog, tiny, 24), atol=1e-6)
    # Items of a topic lie closer together, because their texts name it.
    cosine = (features @ features.T).numpy()
    same = catalog.main_topic[:, None] == catalog.main_topic
    assert cosine[same].mean() > cosine[~same].mean() + 0.1
    learner.learn(48)
    check_saved(learner, env)


def test_what_the_log_says_of_some_items_places_others_that_it_never_saw(tiny, small):
    """The true attributes of unseen items are told better by the projection than by the text."""
    env = BatchVecEnv(gym.make_vec("driftrec/Video-v0", num_envs=2, diagnostics=False, **small))
    platform = Platform.of(env)
    catalog, world = platform.catalog, env.get_attr("simulator")[0].world
    even, odd = np.arange(0, 1000, 2), np.arange(1, 1000, 2)
    project = fused_features(catalog.take(even), platform.log.features[even], tiny)
    learner = make_learner(
        "interest-attention", "ppo", env, seed=1, hidden=16, text=tiny, fused=True, per_item=False
    )
    assert learner.policy.network.features.shape == platform.log.features.shape

    def told(vectors):
        pairs = np.triu_indices(len(odd), 1)
        likeness, truth = vectors @ vectors.T, world.attributes[odd] @ world.attributes[odd].T
        return np.corrcoef(likeness[pairs], truth[pairs])[0, 1]

    unseen = project(catalog.take(odd))
    assert told(unseen) > told(text_features(catalog, tiny)[odd]) + 0.1
    assert told(unseen) > 0.9 * told(platform.log.features[odd])
    renamed = replace(catalog, topic_names=tuple(f"{name}?" for name in catalog.topic_names))
    assert told(project(renamed.take(odd))) < told(unseen) - 0.2  # topics count by their names
    with pytest.raises(ValueError, match="fused needs text"):
        make_learner("interest-attention", "ppo", env, fused=True)


def test_items_are_known_by_the_log_unless_told(small):
    env = BatchVecEnv(gym.make_vec("driftrec/Video-v0", num_envs=4, diagnostics=False, **small))
    learner = make_learner("interest-attention", "ppo", env, seed=1, hidden=16)
    log = Platform.of(env).log.features
    np.testing.assert_array_equal(learner.policy.network.features.numpy(), log)


def test_an_unknown_model_is_named(small):
    env = BatchVecEnv(gym.make_vec("driftrec/Video-v0", num_envs=4, diagnostics=False, **small))
    with pytest.raises(ValueError, match="model must be one of minilm, smollm2"):
        make_learner("interest-attention", "ppo", env, text="./no-such-folder")
