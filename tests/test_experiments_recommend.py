"""Facts about serving one's own user: the history file, the observation, the answer."""

from __future__ import annotations

import datetime
import json
from pathlib import Path

import pytest

from driftrec.agents.serving.event import Event
from driftrec.agents.serving.items import Items, match_request
from driftrec.experiments.errors import UserError
from driftrec.experiments.recommend import USER, read_history
from driftrec.experiments.worlds import make_batch


@pytest.fixture(scope="module")
def catalog() -> Items:
    env = make_batch("driftrec/Video-v0", 1, {"history": 4, "slate_size": 3})
    return Items.of(env.catalog, ())


def write(folder: Path, text: str, name: str = "me.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def test_items_are_named_by_id_or_title(tmp_path: Path, catalog: Items) -> None:
    title = catalog.title[7].upper()
    rows = json.dumps([{"item_id": catalog.ids[3], "feedback": 1}, {"title": title, "feedback": 0}])
    assert read_history(write(tmp_path, rows, "me.json"), catalog) == [
        Event(USER, catalog.ids[3], 1),
        Event(USER, catalog.ids[7], 0),
    ]
    head = "item_id,feedback,time,request\n"
    text = f'{head}{catalog.ids[3]},0.5,2026-05-01T20:30,music\n"{catalog.title[7]}",1,,\n'
    when = datetime.datetime(2026, 5, 1, 20, 30)
    assert read_history(write(tmp_path, text), catalog) == [
        Event(USER, catalog.ids[3], 0.5, when, "music"),
        Event(USER, catalog.ids[7], 1),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("nothing,1", r"me\.csv, line 3: the catalogue has no item 'nothing'"),
        ("{id},nan", r"line 3: feedback must be in \[0, 1\], got nan"),
        ("{id},1.5", r"line 3: feedback must be in \[0, 1\], got 1.5"),
        ("{id},-0.1", r"line 3: feedback must be in \[0, 1\], got -0.1"),
        ("{id},good", r"line 3: feedback must be a number, got 'good'"),
        ("{id},1,noon", r"line 3: time must be a time like 2026-05-01T20:30, got 'noon'"),
        ("{id}", r"line 3: feedback must be a number, got None"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, catalog: Items, row: str, message: str) -> None:
    text = f"item_id,feedback,time\n{catalog.ids[0]},1\n{row.format(id=catalog.ids[1])}\n"
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
    tmp_path: Path, catalog: Items, name: str, text: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_history(write(tmp_path, text, name), catalog)


def test_a_missing_history_is_refused(tmp_path: Path, catalog: Items) -> None:
    with pytest.raises(UserError, match=r"cannot read the history .*none\.csv"):
        read_history(tmp_path / "none.csv", catalog)


def test_a_request_is_matched_by_its_words() -> None:
    known = ("", "something funny for the evening", "how to bake bread")
    assert match_request("Bread, please", known) == 2
    assert match_request("a funny evening", known) == 1
    assert match_request("quantum physics", known) == 0
    assert match_request("", known) == match_request(None, known) == 0
