"""Items that a served model never met."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from stirred import stirred_model

import driftrec.envs  # noqa: F401
from driftrec.agents.serving import Event, Recommender, ServedModel, save, with_newcomers
from driftrec.simulators import Catalog
from driftrec.simulators.readers import load_catalog

NOW = datetime.datetime(2026, 5, 6, 18, 0)
ROWS = np.arange(0, 1000, 4)


@pytest.fixture(scope="module")
def model() -> ServedModel:
    return stirred_model()


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    """A quarter of the items under new names, and one topic under another."""
    some = load_catalog().take(ROWS)
    names = ("knitting", *some.topic_names[1:])
    return replace(some, ids=tuple(f"new-{name}" for name in some.ids), topic_names=names)


@pytest.fixture(scope="module")
def larger(model: ServedModel, catalog: Catalog) -> ServedModel:
    return with_newcomers(model, catalog, model.network.features[ROWS].numpy())


def told(model: ServedModel, items: np.ndarray) -> Recommender:
    recommender = Recommender(model)
    for step, item in enumerate(items):
        when = NOW + datetime.timedelta(minutes=step)
        recommender.observe(Event("anna", model.items.ids[item], 1.0, when))
    return recommender


def test_known_items_are_ranked_as_before(model: ServedModel, larger: ServedModel) -> None:
    liked = np.flatnonzero(model.items.topic == 3)[:6]
    ours, theirs = told(larger, liked), told(model, liked)
    new = larger.items.ids[1000:]
    assert ours.recommend("anna", k=20, at=NOW, exclude=new) == theirs.recommend(
        "anna", k=20, at=NOW
    )


def test_new_items_are_recommended_at_once_for_what_they_are(
    model: ServedModel, larger: ServedModel
) -> None:
    liked = np.flatnonzero(model.items.topic == 3)[:6]
    recommender = told(larger, liked)
    scores = recommender.output("anna", recommender.asked("", NOW)).scores[0, 0].numpy()
    assert np.corrcoef(scores[1000:], scores[ROWS])[0, 1] > 0.9
    topic = larger.items.topic[1000:]
    assert scores[1000:][topic == 3].mean() > scores[1000:][topic != 3].mean() + 0.5
    assert any(line.item_id.startswith("new-") for line in recommender.recommend("anna", at=NOW))
    recommender.observe(Event("anna", larger.items.ids[1007], 1.0, NOW))  # and can be reported


def test_topics_keep_their_names_and_new_ones_get_their_own(
    larger: ServedModel, catalog: Catalog
) -> None:
    names = [larger.items.topic_names[topic] for topic in larger.items.topic[1000:]]
    assert names == [catalog.topic_names[topic] for topic in catalog.main_topic]
    assert larger.items.topic_names[-1] == "knitting"


def test_they_are_shipped_with_the_others(larger: ServedModel, tmp_path: Path) -> None:
    save(larger, tmp_path / "a")
    shipped = Recommender.load(tmp_path / "a")
    assert shipped.items.ids == larger.items.ids
    liked = np.array([1003, 5, 1100])
    answers = [told(m, liked).recommend("anna", at=NOW) for m in (larger, shipped.model)]
    assert answers[0] == answers[1]


def test_what_is_not_new_or_lies_elsewhere_is_refused(model: ServedModel, catalog: Catalog) -> None:
    vectors = model.network.features[ROWS].numpy()
    with pytest.raises(ValueError, match=r"vectors must be \[250, 56\], got \(250, 55\)"):
        with_newcomers(model, catalog, vectors[:, 1:])
    with pytest.raises(ValueError, match="catalog must hold new items alone, got 'video-000'"):
        with_newcomers(model, load_catalog().take(ROWS), vectors)
