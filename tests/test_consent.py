"""Facts about what a service holds on people: it is theirs to see, to take back and to refuse."""

from __future__ import annotations

import datetime
import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("cryptography")

from stirred import stirred_model

import driftrec.envs  # noqa: F401
from driftrec.agents.serving import Event, Recommender, ServedModel, reader, save
from driftrec.experiments.cli import app
from driftrec.simulators.privacy import KEY, KEY_FILE, parse_key, write_key
from driftrec.simulators.sealed import unseal

ONE, OTHER = bytes(range(32)), bytes(range(1, 33))
NOW = datetime.datetime(2026, 5, 6, 18, 0)


@pytest.fixture(scope="module")
def model() -> ServedModel:
    return stirred_model()


def events_of(user: str, count: int, model: ServedModel, seed: int = 0) -> list[Event]:
    rng = np.random.default_rng([seed, *user.encode("utf-8", "surrogatepass")])
    return [
        Event(
            user,
            model.items.ids[rng.integers(len(model.items))],
            float(rng.random()),
            NOW + datetime.timedelta(minutes=step) if step % 3 else None,
            model.items.requests[rng.integers(4)],
        )
        for step in range(count)
    ]


def told(model: ServedModel, *streams: list[Event]) -> Recommender:
    recommender = Recommender(model)
    for stream in streams:
        for event in stream:
            recommender.observe(event)
    return recommender


def answer(recommender: Recommender, user: str = "anna"):
    return recommender.recommend(user, k=1000, at=NOW)


# --- opting out -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["interest-attention", "gru"])
def test_who_opts_out_is_served_as_one_who_was_never_seen(name: str) -> None:
    model = stirred_model(name)
    anna, ben = events_of("anna", 12, model), events_of("ben", 12, model)
    recommender, never = told(model, anna[:8], ben[:8]), told(model, ben[:8])
    known = answer(recommender)
    assert recommender.opt_out("anna") == 8
    assert answer(recommender) == answer(never) != known
    for event in anna[8:]:
        recommender.observe(event)
    recommender.restore(anna)
    assert recommender.attended("anna") == ((), [])
    for asked in ("", *model.items.requests[1:3]):
        ours, theirs = (r.recommend("anna", asked, 1000, NOW) for r in (recommender, never))
        assert ours == theirs
    for event in ben[8:]:  # others go on as if nothing had happened
        recommender.observe(event)
        never.observe(event)
    assert answer(recommender, "ben") == answer(never, "ben")
    empty = never.held("anna") | {"opted_out": True}
    assert recommender.held("anna") == empty


def test_who_opts_in_again_begins_anew(model: ServedModel) -> None:
    anna = events_of("anna", 12, model)
    recommender = told(model, anna[:8])
    recommender.opt_out("anna")
    assert recommender.opt_out("anna") == 0
    recommender.observe(anna[8])
    recommender.opt_in("anna")
    for event in anna[9:]:
        recommender.observe(event)
    assert recommender.events("anna") == tuple(anna[9:])
    assert answer(recommender) == answer(told(model, anna[9:]))


def test_opting_out_while_events_pour_in_leaves_none(model: ServedModel) -> None:
    recommender, anna = Recommender(model), events_of("anna", 60, model)
    begun = threading.Event()

    def pour() -> None:
        for step, event in enumerate(anna):
            recommender.observe(event)
            answer(recommender)
            if step == 5:
                begun.set()

    threads = [threading.Thread(target=pour) for _ in range(2)]
    for thread in threads:
        thread.start()
    begun.wait(30)
    recommender.opt_out("anna")
    for thread in threads:
        thread.join()
    assert recommender.events("anna") == () and recommender.held("anna")["state"] is None
    assert answer(recommender) == answer(Recommender(model))


# --- what is held ---------------------------------------------------------------------------------


def numbers(value) -> list[float]:
    """All numbers in nested plain values, in order."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [number for part in value for number in numbers(part)]
    return [float(value)] if isinstance(value, int | float) else []


@pytest.mark.parametrize("name", ["interest-attention", "gru"])
def test_all_that_is_held_is_told(name: str) -> None:
    model = stirred_model(name)
    anna = events_of("anna", 9, model)
    recommender = told(model, anna, events_of("ben", 5, model))
    recommender.recommend("anna", model.items.requests[2], at=NOW)
    held = json.loads(json.dumps(recommender.held("anna")))
    assert (held["user"], held["opted_out"]) == ("anna", False)
    read = [
        Event(
            "anna",
            row["item"],
            row["feedback"],
            row["time"] and datetime.datetime.fromisoformat(row["time"]),
            row["request"],
        )
        for row in held["events"]
    ]
    assert read == anna
    titles = [model.items.title[model.items.index(event.item)] for event in anna]
    assert [row["title"] for row in held["events"]] == titles
    # The state: by another way than the one under test, from the tensors themselves.
    state = recommender._users.state("anna", served=False)
    assert state is not None and held["state"]["read"] == state.read == 8
    assert held["state"]["ahead"]["request"] == model.items.requests[2]  # asked for last
    memory = held["state"]["memory"]
    assert numbers(memory["interest"]) == state.memory.interest.flatten().tolist()
    assert numbers(memory["belief"]) == state.memory.belief.flatten().tolist()
    if name == "gru":
        tensors = [state.memory.carry]
    else:
        layers = state.memory.carry.layers.layers
        tensors = [layer.keys for layer in layers] + [layer.values for layer in layers]
        tensors.append(state.memory.carry.mask)
    assert numbers(memory["carry"]) == [x for t in tensors for x in t.flatten().tolist()]


def test_telling_changes_nothing(model: ServedModel) -> None:
    recommender, twin = (told(model, events_of("anna", 9, model)) for _ in range(2))
    assert recommender.held("anna") == recommender.held("anna")
    assert answer(recommender) == answer(twin)
    stranger = {"user": "nobody", "opted_out": False, "events": [], "state": None}
    assert recommender.held("nobody") == stranger


# --- saved users ----------------------------------------------------------------------------------


@pytest.mark.parametrize("longest", [8, 256])
def test_saved_users_are_served_as_before(model, tmp_path, longest, monkeypatch) -> None:
    monkeypatch.setattr(reader, "LONGEST", longest)
    anna, ben = events_of("anna", 30, model), events_of("ben\ud800 \n名", 20, model)
    aware = Event("cleo", model.items.ids[3], 1, NOW.replace(tzinfo=datetime.UTC), "a\nb")
    before = told(model, anna, ben, [aware])
    before.opt_out("dora")
    before.save_users(tmp_path / "users", ONE)
    after = told(model, events_of("gone", 3, model), events_of("anna", 4, model, seed=3))
    assert after.load_users(tmp_path / "users", ONE) == 3
    for user in ("anna", ben[0].user, "cleo", "dora", "nobody"):
        assert after.events(user) == before.events(user)
        assert answer(after, user) == answer(before, user)
    assert after.events("gone") == () and after.held("dora")["opted_out"]
    after.observe(Event("dora", model.items.ids[0], 1.0))
    assert after.events("dora") == ()
    for event in events_of("anna", 6, model, seed=1):
        after.observe(event)
        before.observe(event)
    assert answer(after) == answer(before)


def test_an_event_forgotten_before_or_after_saving_leaves_no_trace(model, tmp_path) -> None:
    anna = events_of("anna", 12, model)
    never = told(model, anna[:4] + anna[5:])
    never.save_users(tmp_path / "never", ONE)
    first = told(model, anna)
    first.save_users(tmp_path / "users", ONE)
    loaded = Recommender(model)
    loaded.load_users(tmp_path / "users", ONE)
    full = answer(loaded)
    assert loaded.forget(anna[4]) == first.forget(anna[4]) == 1
    first.save_users(tmp_path / "users", ONE)
    again = Recommender(model)
    again.load_users(tmp_path / "users", ONE)
    for recommender in (loaded, first, again):
        assert answer(recommender) == answer(never) != full
        assert recommender.held("anna")["events"] == never.held("anna")["events"]
    assert (tmp_path / "users").stat().st_size == (tmp_path / "never").stat().st_size


def test_who_opted_out_is_nowhere_in_the_file_by_name(model, tmp_path) -> None:
    recommender = told(model, events_of("anna", 5, model), events_of("ben", 5, model))
    recommender.opt_out("anna")
    recommender.save_users(tmp_path / "users", ONE)
    assert b"ben" not in (tmp_path / "users").read_bytes()
    with unseal(tmp_path / "users", ONE, "users") as stream:
        content = stream.read()
    assert b'"ben"' in content and b"anna" not in content


def test_another_key_or_a_changed_file_changes_nothing(model, tmp_path) -> None:
    path = tmp_path / "users"
    told(model, events_of("ben", 9, model)).save_users(path, ONE)
    recommender = told(model, events_of("anna", 9, model))
    before, whole = answer(recommender), path.read_bytes()
    with pytest.raises(ValueError, match="was encrypted with another key"):
        recommender.load_users(path, OTHER)
    path.write_bytes(whole[:-40] + bytes([whole[-40] ^ 1]) + whole[-39:])
    with pytest.raises(ValueError, match="is damaged or was changed"):
        recommender.load_users(path, ONE)
    path.write_bytes(whole[:-40])
    with pytest.raises(ValueError, match="is damaged or was changed"):
        recommender.load_users(path, ONE)
    with pytest.raises(ValueError, match="key must have 32 bytes, got 5"):
        recommender.save_users(path, b"short")
    assert path.read_bytes() == whole[:-40]
    assert answer(recommender) == before and recommender.events("ben") == ()


def test_users_of_another_catalogue_change_nothing(model, tmp_path) -> None:
    other = told(model, events_of("ben", 3, model))
    object.__setattr__(other._users.history("ben").events[1], "item", "sold-out")
    other.save_users(tmp_path / "users", ONE)
    recommender = told(model, events_of("anna", 3, model))
    with pytest.raises(ValueError, match="item must be an id of the catalogue, got 'sold-out'"):
        recommender.load_users(tmp_path / "users", ONE)
    assert len(recommender.events("anna")) == 3 and recommender.events("ben") == ()


def test_a_save_that_fails_leaves_the_last_good_one(model, tmp_path, monkeypatch) -> None:
    recommender = told(model, events_of("anna", 3, model))
    recommender.save_users(tmp_path / "users", ONE)
    whole = (tmp_path / "users").read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    recommender.forget("anna")
    with pytest.raises(OSError, match="No space left"):
        recommender.save_users(tmp_path / "users", ONE)
    assert (tmp_path / "users").read_bytes() == whole
    assert [file.name for file in tmp_path.iterdir()] == ["users"]


# --- the commands ---------------------------------------------------------------------------------


def test_the_commands_tell_and_forget(model, tmp_path: Path, monkeypatch) -> None:
    save(model, tmp_path / "export")
    (tmp_path / "state").mkdir()
    (tmp_path / "secret").mkdir()
    write_key(secret := tmp_path / "secret" / "key")
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.setenv(KEY_FILE, str(secret))
    users = tmp_path / "state" / "users"
    recommender = told(model, events_of("anna", 5, model), events_of("ben", 4, model))
    key = parse_key(secret.read_text(), "test")
    recommender.save_users(users, key)
    given = ["--model", str(tmp_path / "export"), "--users", str(users)]

    def call(command: str, *arguments: str):
        return CliRunner().invoke(app, [command, *given, *arguments])

    told_of = call("export-user", "--user", "anna")
    assert told_of.exit_code == 0, told_of.stderr
    assert json.loads(told_of.stdout)["events"] == recommender.held("anna")["events"]
    done = call("forget-user", "--user", "anna", "--opt-out")
    assert (done.exit_code, done.stdout) == (0, "5 events forgotten\n"), done.stderr
    after = Recommender(model)
    after.load_users(users, key)
    assert after.events("anna") == () and after.held("anna")["opted_out"]
    assert after.events("ben") == recommender.events("ben")
    whole = users.read_bytes()
    write_key(other := tmp_path / "secret" / "other")
    write_key(beside := tmp_path / "state" / "key")
    refused = {
        ("--user", "nobody"): "what must be a user or an event that was observed",
        ("--user", "ben", "--key-file", str(other)): "was encrypted with another key",
        ("--user", "ben", "--key-file", str(beside)): "key file must lie outside of",
    }
    for arguments, message in refused.items():
        result = call("forget-user", *arguments)
        assert result.exit_code == 2 and message in result.stderr
    assert users.read_bytes() == whole
    both = CliRunner().invoke(app, ["export-user", "--user", "anna"])
    assert both.exit_code == 2 and "give either users and model, or log" in both.stderr
