"""Facts about serving one's own user: the history file, the observation, the answer."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from driftrec.experiments import recommend as recommending
from driftrec.experiments.errors import UserError
from driftrec.experiments.recommend import (
    Event,
    build_observation,
    match_request,
    read_history,
    recommend,
)
from driftrec.experiments.worlds import make_batch
from driftrec.simulators import Catalog


@pytest.fixture(scope="module")
def env():
    return make_batch("driftrec/Video-v0", 1, {"history": 4, "slate_size": 3})


@pytest.fixture(scope="module")
def catalog(env) -> Catalog:
    return env.catalog


def write(folder: Path, text: str, name: str = "me.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_items_are_named_by_id_or_title(tmp_path: Path, catalog: Catalog) -> None:
    title = catalog.title[7].upper()
    rows = json.dumps([{"item_id": catalog.ids[3], "feedback": 1}, {"title": title, "feedback": 0}])
    assert read_history(write(tmp_path, rows, "me.json"), catalog) == [Event(3, 1), Event(7, 0)]
    text = f'item_id,feedback\n{catalog.ids[3]},0.5\n"{catalog.title[7]}",1\n'
    assert read_history(write(tmp_path, text), catalog) == [Event(3, 0.5), Event(7, 1)]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("nothing,1", r"me\.csv, line 3: the catalogue has no item 'nothing'"),
        ("{id},nan", r"line 3: feedback must be in \[0, 1\], got nan"),
        ("{id},1.5", r"line 3: feedback must be in \[0, 1\], got 1.5"),
        ("{id},-0.1", r"line 3: feedback must be in \[0, 1\], got -0.1"),
        ("{id},good", r"line 3: feedback must be a number, got 'good'"),
        ("{id}", r"line 3: feedback must be a number, got None"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, catalog: Catalog, row: str, message: str) -> None:
    text = f"item_id,feedback\n{catalog.ids[0]},1\n{row.format(id=catalog.ids[1])}\n"
    with pytest.raises(UserError, match=message):
        read_history(write(tmp_path, text), catalog)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("me.csv", "a,b\n1,2\n", r"must have the columns item_id,feedback .* got \['a', 'b'\]"),
        ("me.csv", "", "must have the columns"),
        ("me.json", "{", "must hold JSON"),
        ("me.json", "{}", "must hold a list of objects"),
    ],
)
def test_a_file_that_is_no_history_is_refused(
    tmp_path: Path, catalog: Catalog, name: str, text: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_history(write(tmp_path, text, name), catalog)


def test_a_missing_history_is_refused(tmp_path: Path, catalog: Catalog) -> None:
    with pytest.raises(UserError, match=r"cannot read the history .*none\.csv"):
        read_history(tmp_path / "none.csv", catalog)


WHEN = datetime.datetime(2026, 5, 6, 18, 0)  # a Wednesday


@pytest.mark.parametrize("length", [0, 2, 4, 9])
def test_observations_are_of_the_environments_own_kind(env, length: int) -> None:
    events = [Event(item, 0.5) for item in range(length)]
    observation = build_observation(events, env, 2, WHEN)
    assert env.single_observation_space.contains(observation)
    seen = min(length, 4)
    np.testing.assert_array_equal(observation["slates"][:, 1:], -1)
    assert observation["slates"][4 - seen :, 0].tolist() == list(range(length - seen, length))
    assert (observation["slates"][: 4 - seen] == -1).all()
    np.testing.assert_allclose(observation["time"][:2], [-1, 0], atol=1e-6)


def test_a_request_is_matched_by_its_words() -> None:
    known = ("", "something funny for the evening", "how to bake bread")
    assert match_request("Bread, please", known) == 2
    assert match_request("a funny evening", known) == 1
    assert match_request("quantum physics", known) == 0
    assert match_request("", known) == match_request(None, known) == 0


def test_the_highest_scores_win(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    scores = np.arange(len(catalog), dtype=float)
    monkeypatch.setattr(recommending, "item_scores", lambda agent, observation: scores)
    answer = recommend(SimpleNamespace(), {}, catalog, 2)
    assert [(r.rank, r.item_id, r.score) for r in answer] == [
        (1, catalog.ids[-1], len(catalog) - 1),
        (2, catalog.ids[-2], len(catalog) - 2),
    ]


@pytest.mark.parametrize("count", [0, 1001])
def test_k_beyond_the_catalogue_is_refused(catalog: Catalog, count: int) -> None:
    with pytest.raises(UserError, match=rf"k must be in \[1, 1000\] .* got {count}"):
        recommend(SimpleNamespace(), {}, catalog, count)
