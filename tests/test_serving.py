"""Facts about the recommender that is shipped: what it serves, forgets, survives and refuses."""

from __future__ import annotations

import copy
import datetime
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pandas as pd
import pytest
import torch
from stirred import stirred_model

import driftrec.envs  # noqa: F401
from driftrec.agents.choosing import shown_slates
from driftrec.agents.learners import NETWORKS, make_learner
from driftrec.agents.occasion import OccasionLaw
from driftrec.agents.output import Output
from driftrec.agents.serving import Event, Recommender, ServedModel, folder, reader, save
from driftrec.agents.serving.event import time_features
from driftrec.agents.serving.precision import lighten
from driftrec.agents.serving.reader import Asked, Reader
from driftrec.agents.serving.retrieval import Nearest, Search, build_index, exact
from driftrec.envs.sb3 import BatchVecEnv

NOW = datetime.datetime(2026, 5, 6, 18, 0)  # a Wednesday
ADAPTIVE = [name for name in NETWORKS if name != "static-attention"]


@pytest.fixture(scope="module")
def model() -> ServedModel:
    return stirred_model()


@pytest.fixture
def recommender(model: ServedModel) -> Recommender:
    return Recommender(model)


@pytest.fixture(scope="module")
def exported(model: ServedModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "a"
    save(model, path)
    return path


def events_of(user: str, count: int, model: ServedModel, seed: int = 0) -> list[Event]:
    rng = np.random.default_rng([seed, *user.encode()])
    requests = ("", *model.items.requests[1:4])
    return [
        Event(
            user,
            model.items.ids[rng.integers(len(model.items))],
            round(float(rng.random()), 2) * int(rng.random() < 0.5),
            NOW + datetime.timedelta(minutes=step),
            requests[rng.integers(4)],
        )
        for step in range(count)
    ]


def told(model: ServedModel, events: list[Event]) -> Recommender:
    return told_by(Recommender(model), events)


def told_by(recommender: Recommender, events: list[Event]) -> Recommender:
    for event in events:
        recommender.observe(event)
    return recommender


def answer(recommender: Recommender, user: str = "anna", k: int = 10):
    return recommender.recommend(user, k=k, at=NOW)


# --- serving --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ADAPTIVE)
def test_events_read_one_by_one_give_what_one_pass_over_them_gives(name: str) -> None:
    model = stirred_model(name)
    recommender = told(model, events_of("anna", 12, model))
    asked = recommender.asked("", NOW)
    with torch.no_grad():
        parts = recommender.reader.tensors(recommender.attended("anna")[1], asked)
        whole = model.network(*parts, last=1).scores
    torch.testing.assert_close(recommender.output("anna", asked).scores, whole, atol=1e-4, rtol=0)


def test_a_served_network_scores_as_the_trained_one() -> None:
    env = BatchVecEnv(gym.make_vec("driftrec/Video-v0", 2, slate_size=3, history=4, horizon=6))
    network = make_learner("interest-attention", "ppo", env, seed=0, hidden=16).policy.network
    world = env.get_attr("simulator")[0].world
    served = ServedModel.of(network, 3, world.catalog, world.request_text).network
    observation = {k: torch.as_tensor(v) for k, v in env.reset().items()}
    slates, feedback = observation["slates"].long(), observation["feedback"]
    parts = slates, feedback, torch.zeros(2, 4, dtype=torch.long), torch.zeros(2, 4, 4)
    with torch.no_grad():
        trained, compiled = network(*parts).scores, served(*parts).scores
        torch.testing.assert_close(trained, compiled, atol=1e-5, rtol=0)  # adds in another order
        served.interest.habits = None  # by the code that learns
        torch.testing.assert_close(trained, served(*parts).scores, atol=0, rtol=0)
    assert not any(p.requires_grad for p in served.parameters())
    assert all(p.requires_grad for p in network.parameters())


def test_what_is_recommended_is_the_slate_that_the_policy_shows(
    recommender: Recommender, model: ServedModel
) -> None:
    for event in events_of("anna", 5, model):
        recommender.observe(event)
    output = recommender.output("anna", recommender.asked("", NOW))
    scores = output.scores[0, 0].numpy()
    best = shown_slates(model.network, output, model.slots)[0].numpy()
    lines = answer(recommender, k=model.slots)
    assert [line.item_id for line in lines] == [model.items.ids[item] for item in best]
    assert [line.title for line in lines] == [model.items.title[item] for item in best]
    assert [line.rank for line in lines] == list(range(1, model.slots + 1))
    assert [line.score for line in lines] == pytest.approx(scores[best].tolist(), abs=1e-4)
    more = answer(recommender, k=40)  # beyond a slate by scores
    rest = [line.score for line in more[model.slots :]]
    assert len({line.item_id for line in more}) == 40 and rest == sorted(rest, reverse=True)


def test_where_a_head_makes_no_slates_the_highest_scores_win() -> None:
    model = stirred_model(head="diverse", diversity=0.5)
    served = told(model, events_of("anna", 5, model))
    scores = [line.score for line in answer(served, k=7)]
    assert scores == sorted(scores, reverse=True)


def test_answers_follow_the_user_the_request_and_the_hour(
    recommender: Recommender, model: ServedModel
) -> None:
    stranger = answer(recommender, "nobody")
    assert recommender.events("nobody") == ()
    for event in events_of("anna", 8, model):
        recommender.observe(event)
    before = answer(recommender)
    assert before != stranger == answer(recommender, "nobody")
    assert answer(recommender) == before  # an answer leaves no trace
    asked = recommender.recommend("anna", request=model.items.requests[1], at=NOW)
    late = recommender.recommend("anna", at=NOW + datetime.timedelta(hours=6))
    assert asked != before and late != before
    assert answer(recommender) == before


def test_what_is_excluded_is_left_out_and_a_slate_made_of_the_rest(
    recommender: Recommender, model: ServedModel
) -> None:
    for event in events_of("anna", 5, model):
        recommender.observe(event)
    whole = [line.item_id for line in answer(recommender, k=1000)]
    bought = [*whole[:3], whole[5], whole[999], whole[5]]  # one twice
    lines = recommender.recommend("anna", k=10, at=NOW, exclude=bought)
    output = recommender.output("anna", recommender.asked("", NOW))
    output.available = torch.tensor([i not in bought for i in model.items.ids])[None, None]
    best = shown_slates(model.network, output, model.slots)[0]
    shown = [line.item_id for line in lines[: model.slots]]
    assert shown == [model.items.ids[item] for item in best]
    assert [line.rank for line in lines] == list(range(1, 11))
    assert recommender.recommend("anna", k=10, at=NOW, exclude=iter(bought)) == lines
    everything_else = recommender.recommend("anna", k=995, at=NOW, exclude=bought)
    assert {line.item_id for line in everything_else} == set(whole) - set(bought)
    assert recommender.recommend("anna", k=10, at=NOW)[0].item_id == whole[0]


def test_the_hour_is_seen_on_a_circle() -> None:
    np.testing.assert_allclose(time_features(NOW)[:2], [-1, 0], atol=1e-6)
    week = 2 * math.pi * (24 * 2 + 18) / 168
    np.testing.assert_allclose(time_features(NOW)[2:], [math.sin(week), math.cos(week)])
    assert time_features(None) == (0, 0, 0, 0)


def test_an_event_costs_one_token_however_long_the_history(
    model: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens: list[int] = []
    read = model.network.tokens

    def count(seen):
        tokens.append(seen.time.shape[1])
        return read(seen)

    recommender = told(model, events_of("anna", 100, model))
    monkeypatch.setattr(model.network, "tokens", count)
    recommender.observe(events_of("anna", 101, model)[-1])
    assert tokens == [1]
    answer(recommender)
    assert tokens == [1, 1]
    recommender.observe(Event("anna", model.items.ids[0], 1.0, NOW))  # shown by that answer
    assert tokens == [1, 1]
    after = answer(recommender)
    assert tokens == [1, 1, 1]
    monkeypatch.undo()
    assert answer(told(model, list(recommender.events("anna")))) == after


# --- what is known is a function of the events ----------------------------------------------------


@pytest.mark.parametrize("flags", [{"precision": "bf16"}, {"precision": "int8"}, {"pruned": 0.05}])
def test_a_lighter_network_hardly_moves_a_score(model: ServedModel, flags: dict) -> None:
    events = events_of("anna", 12, model)
    full, light = told(model, events), Recommender(model, **flags)
    for event in events:
        light.observe(event)
    asked = full.asked("", NOW)
    ours, theirs = (r.output("anna", asked).scores[0, 0].numpy() for r in (light, full))
    assert 0 < np.abs(ours - theirs).mean() < 0.1 * theirs.std()
    assert answer(full) == answer(told(model, events))  # the model itself stays as it is


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"precision": "fp4"}, "precision must be one of fp32, bf16, int8, got 'fp4'"),
        ({"pruned": 1}, r"pruned must be a number in \[0, 1\), got 1"),
        ({"pruned": "0.5"}, r"pruned must be a number in \[0, 1\), got '0.5'"),
        ({"states": 0}, "states must be a whole number from 1 on, got 0"),
        ({"states": "all"}, "states must be a whole number from 1 on, got 'all'"),
    ],
)
def test_impossible_options_are_refused(model: ServedModel, flags: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recommender(model, **flags)


def test_scores_are_read_out_in_full_precision(model: ServedModel) -> None:
    """In 8 bits many items score the same, and the best would be those that were rounded up."""
    recommender, network = told(model, events_of("anna", 12, model)), model.network
    entries, asked = recommender.attended("anna")[1], recommender.asked("", NOW)
    seen = network.perceive(*recommender.reader.tensors(entries, asked))
    with torch.no_grad():
        interest = network.interest(seen)
        hidden = network.mix_whole(network.tokens(seen), interest.vector)
        whole = network.read_out(hidden, interest).query
        with torch.autocast("cpu", torch.bfloat16):
            light = network.read_out(hidden, interest).query
    assert light.dtype == torch.float32 and torch.equal(light, whole)


def test_every_step_is_read_by_the_lighter_network(model: ServedModel) -> None:
    """The weights of the whole one have no say once it was made lighter, at the start or later."""
    events, emptied = events_of("anna", 12, model), copy.deepcopy(model)
    light = Recommender(emptied, precision="int8")
    for event in events[:3]:
        light.observe(event)
    with torch.no_grad():
        for weight in emptied.network.parameters():
            weight.zero_()
    for event in events[3:]:
        light.observe(event)
    assert answer(light) == answer(told_by(Recommender(model, precision="int8"), events))


def test_pruning_leaves_the_largest_weights(model: ServedModel) -> None:
    pruned, whole = (lighten(model.network, pruned=share).token.weight for share in (0.3, 0.0))
    gone = pruned == 0
    assert gone.float().mean() == pytest.approx(0.3, abs=1e-3)
    assert torch.equal(pruned[~gone], whole[~gone])
    assert whole[gone].abs().max() <= whole[~gone].abs().min()


@pytest.mark.parametrize("longest", [8, 384])
def test_a_forgotten_event_leaves_no_trace(
    model: ServedModel, longest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "LONGEST", longest)
    monkeypatch.setattr(reader, "KEPT", longest // 2)
    events = events_of("anna", 30, model)
    for place in (0, 9, 28, 29):
        recommender = told(model, events)
        full = answer(recommender, k=1000)
        assert recommender.forget(events[place]) == 1
        kept = events[:place] + events[place + 1 :]
        assert recommender.events("anna") == tuple(kept)
        never = told(model, kept)
        assert answer(recommender, k=1000) == answer(never, k=1000) != full
        for event in events_of("anna", 6, model, seed=1):  # and ever after
            recommender.observe(event)
            never.observe(event)
        assert answer(recommender, k=1000) == answer(never, k=1000)


def test_a_forgotten_user_is_a_stranger_and_others_stay(model: ServedModel) -> None:
    recommender = told(model, events_of("anna", 9, model) + events_of("ben", 9, model))
    ben = answer(recommender, "ben")
    assert recommender.forget("anna") == 9
    assert recommender.events("anna") == ()
    assert answer(recommender, "anna") == answer(recommender, "nobody")
    assert answer(recommender, "ben") == ben
    with pytest.raises(ValueError, match="what must be a user or an event that was observed"):
        recommender.forget("anna")


def test_a_state_that_was_dropped_is_read_again_bit_for_bit(
    model: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reader, "LONGEST", 8)
    monkeypatch.setattr(reader, "KEPT", 4)
    roomy, narrow = Recommender(model), Recommender(model, states=1)
    restored = Recommender(model)
    streams = [events_of(user, 30, model) for user in ("anna", "ben", "cleo")]
    for step in range(30):
        for stream in streams:
            roomy.observe(stream[step])
            narrow.observe(stream[step])
        if step % 5 == 0:
            assert answer(roomy, "ben") == answer(narrow, "ben")
    restored.restore(event for stream in streams for event in stream)
    for user in ("anna", "ben", "cleo"):
        assert answer(roomy, user) == answer(narrow, user) == answer(restored, user)


def test_what_is_attended_to_is_bounded(model: ServedModel, monkeypatch) -> None:
    monkeypatch.setattr(reader, "LONGEST", 8)
    monkeypatch.setattr(reader, "KEPT", 4)
    reading = Reader(model.network, 3)
    entries = [reader.Entry(item, 1.0, 0, (0.0, 0.0, 0.0, 0.0)) for item in range(40)]
    lengths = []
    for count in range(1, 41):
        memory = reading.state_of(entries[:count]).memory
        lengths.append(0 if memory is None else memory.length)
        if memory is not None:  # nor is more than that held: no part of a longer tensor
            held = (memory.interest, memory.belief, memory.occasion.lately)
            assert all(part.untyped_storage().nbytes() < 2 * part.nbytes for part in held)
    assert max(lengths) == 8 and min(lengths[8:]) == 5


# --- many threads ---------------------------------------------------------------------------------


def test_eight_threads_lose_nothing_and_mix_up_nobody(model: ServedModel) -> None:
    users = [f"user {n}" for n in range(8)]
    streams = {user: events_of(user, 16, model) for user in users}
    recommender, errors = Recommender(model, states=5), []

    def work(number: int) -> None:
        try:
            for step in range(16):
                for user in users[number % 2 :: 2][number // 2 :: 4]:  # its own
                    recommender.observe(streams[user][step])
                answer(recommender, users[(number + step) % 8])  # anyone's
                if step == 8:
                    recommender.observe(Event(f"guest {number}", model.items.ids[number], 1.0))
                    recommender.forget(f"guest {number}")
            recommender.forget(streams[users[number]][3])
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    for user in users:
        alone = told(model, [e for e in streams[user] if e != streams[user][3]])
        assert set(recommender.events(user)) == set(alone.events(user))
        assert answer(recommender, user) == answer(alone, user)


# --- the folder -----------------------------------------------------------------------------------


def test_an_export_serves_the_same_answers(model: ServedModel, exported: Path) -> None:
    loaded = Recommender.load(exported)
    events = events_of("anna", 10, model)
    for event in events:
        loaded.observe(event)
    assert answer(loaded, k=1000) == answer(told(model, events), k=1000)


def test_serving_imports_no_training_code(exported: Path) -> None:
    code = (
        "import sys\n"
        "from driftrec.agents.serving import Event, Recommender\n"
        f"recommender = Recommender.load({str(exported)!r})\n"
        "recommender.observe(Event('anna', recommender.items.ids[3], 1.0))\n"
        "assert len(recommender.recommend('anna', k=3)) == 3\n"
        "heavy = ('stable_baselines3', 'gymnasium', 'driftrec.envs', 'driftrec.experiments',\n"
        "         'driftrec.agents.episodes', 'driftrec.agents.ppo', 'tensorboard', 'matplotlib')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]", done.stderr


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_save_that_is_killed_leaves_the_last_good_export(
    model: ServedModel, tmp_path: Path
) -> None:
    save(model, tmp_path / "a")
    other = stirred_model("gru")
    fatal = 0
    while True:  # killed at the first, second, .. call that touches the disk
        fatal += 1
        if _save_killed_at(other, tmp_path / "a", fatal):
            break
        assert Recommender.load(tmp_path / "a").model.network.config in (
            model.network.config,
            other.network.config,
        )
    assert fatal > 8
    assert Recommender.load(tmp_path / "a").model.network.config == other.network.config
    assert len(list((tmp_path / "a").iterdir())) == 3  # config, lock and one folder of data


def _save_killed_at(model: ServedModel, path: Path, fatal: int) -> bool:
    """Saves in a process that dies before its ``fatal``-th step; whether it got to the end."""
    child = os.fork()
    if child == 0:
        left = fatal

        def dying(function):
            def call(*args, **kwargs):
                nonlocal left
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*args, **kwargs)

            return call

        folder.os.replace, folder.os.fsync = dying(os.replace), dying(os.fsync)
        folder.save_file, folder.shutil.rmtree = dying(folder.save_file), dying(shutil.rmtree)
        Path.write_text, Path.mkdir = dying(Path.write_text), dying(Path.mkdir)
        try:
            save(model, path)
        finally:
            os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def damaged(exported: Path, tmp_path: Path, change) -> Path:
    path = tmp_path / "b"
    shutil.copytree(exported, path)
    change(path, next(path.glob("data-*")))
    return path


def edit(**changes):
    def change(path: Path, data: Path) -> None:
        config = json.loads((path / "config.json").read_text())
        (path / "config.json").write_text(json.dumps(config | changes))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p, d: (p / "config.json").unlink(), "has no config.json"),
        (lambda p, d: (p / "config.json").write_text("{"), "damaged: config.json holds no JSON"),
        (lambda p, d: (p / "config.json").write_text('{"train": {}}'), "is of another kind"),
        (edit(version=99), "is of format 99, this driftrec reads 1"),
        (edit(data="../../etc"), "config.json names the data"),
        (edit(network=None), "config.json has no 'network'"),
        (lambda p, d: (d / "items.json").unlink(), r"items\.json is missing"),
        (lambda p, d: (d / "items.json").write_text("{}"), r"items\.json is not what was written"),
        (
            lambda p, d: (d / "model.safetensors").write_bytes(b"\0" * 99),
            r"model\.safetensors is not what was written",
        ),
    ],
)
def test_a_damaged_or_foreign_folder_is_named(
    exported: Path, tmp_path: Path, change, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Recommender.load(damaged(exported, tmp_path, change))


def test_a_folder_that_is_no_path_is_named() -> None:
    with pytest.raises(ValueError, match="folder must be a path, got None"):
        Recommender.load(None)


def test_an_export_overwrites_nothing_but_an_export(model: ServedModel, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"must be new or hold an export, .* holds 'thesis.txt'"):
        save(model, tmp_path)
    with pytest.raises(ValueError, match="search must be one of auto, exact, faiss, got 'fast'"):
        save(model, tmp_path / "a", search="fast")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


# --- hostile input --------------------------------------------------------------------------------

TEN_MB = "x" * 10_000_000
EVENT = {"user": "anna", "item": "video-1", "feedback": 1.0}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"user": TEN_MB}, r"user must have 1 to 256 characters, got 'x+'\.\.\. \(10,000,000"),
        ({"user": ""}, "user must have 1 to 256 characters, got ''"),
        ({"user": 7}, "user must be a string, got 7"),
        ({"user": None}, "user must be a string, got None"),
        ({"item": TEN_MB}, "item must have 1 to 256 characters"),
        ({"item": 3}, "item must be a string, got 3"),
        ({"item": ["a"] * 10**6}, "item must be a string, got a list"),
        ({"feedback": math.nan}, r"feedback must be in \[0, 1\], got nan"),
        ({"feedback": math.inf}, r"feedback must be in \[0, 1\], got inf"),
        ({"feedback": -1e-9}, r"feedback must be in \[0, 1\], got -1e-09"),
        ({"feedback": True}, r"feedback must be a number in \[0, 1\], got True"),
        ({"feedback": "1"}, r"feedback must be a number in \[0, 1\], got '1'"),
        ({"feedback": 10**5000}, r"feedback must be in \[0, 1\], got a number of 16,610 bits"),
        ({"time": "noon"}, "time must be a datetime.datetime or None, got 'noon'"),
        ({"time": 0}, "time must be a datetime.datetime or None, got 0"),
        ({"time": pd.NaT}, "time must be a datetime.datetime or None, got a NaTType"),
        ({"request": TEN_MB}, "request must have 0 to 10,000 characters"),
        ({"request": None}, "request must be a string, got None"),
    ],
)
def test_an_impossible_event_is_refused(given: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Event(**(EVENT | given))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda r: r.observe(Event("anna", "nothing", 1.0)), "item must be an id of the catalogue"),
        (lambda r: r.observe({"user": "anna"}), "event must be an Event, got a dict"),
        (lambda r: r.observe(None), "event must be an Event, got None"),
        (lambda r: r.restore([*r.events("anna"), Event("anna", "no", 1.0)]), "item must be an id"),
        (lambda r: r.restore(None), "events must be a collection of Event, got None"),
        (lambda r: r.recommend(TEN_MB), "user must have 1 to 256 characters"),
        (lambda r: r.recommend(b"anna"), "user must be a string, got a bytes"),
        (lambda r: r.recommend("anna", TEN_MB), "request must have 0 to 10,000 characters"),
        (lambda r: r.recommend("anna", 5), "request must be a string, got 5"),
        (lambda r: r.recommend("anna", k=-1), r"k must be in \[1, 1000\] .* got -1"),
        (lambda r: r.recommend("anna", k=0), r"k must be in \[1, 1000\] .* got 0"),
        (lambda r: r.recommend("anna", k=1001), r"k must be in \[1, 1000\] .* got 1001"),
        (lambda r: r.recommend("anna", k=True), "k must be a whole number, got True"),
        (lambda r: r.recommend("anna", k=2.0), "k must be a whole number, got 2.0"),
        (lambda r: r.recommend("anna", k=10**5000), r"k must be in \[1, 1000\] .* 16,610 bits"),
        (lambda r: r.recommend("anna", k="5"), "k must be a whole number, got '5'"),
        (lambda r: r.recommend("anna", exclude=["nothing"]), "exclude must hold ids .* 'nothing'"),
        (lambda r: r.recommend("anna", exclude=[TEN_MB]), r"exclude must hold ids .* \(10,"),
        (lambda r: r.recommend("anna", exclude=[3]), "exclude must hold ids .* got 3"),
        (lambda r: r.recommend("anna", exclude="video-1"), "exclude must be a collection"),
        (lambda r: r.recommend("anna", exclude=None), "exclude must be a collection"),
        (lambda r: r.recommend("anna", exclude=5), "exclude must be a collection .* got 5"),
        (
            lambda r: r.recommend("anna", k=1000, exclude=[r.items.ids[0]]),
            r"k must be in \[1, 999\] .* excluded",
        ),
        (lambda r: r.recommend("anna", at="noon"), "at must be a datetime.datetime or None"),
        (lambda r: r.recommend("anna", at=pd.NaT), "at must be a datetime.datetime or None"),
        (lambda r: r.forget("nobody"), "what must be a user or an event that was observed"),
        (lambda r: r.forget(TEN_MB), "what must be a user or an event that was observed"),
        (lambda r: r.forget(3), "what must be an Event or the id of a user, got 3"),
        (lambda r: r.forget(Event("anna", r.items.ids[0], 0.123)), "what must be a user or an"),
    ],
)
def test_a_refused_call_changes_nothing(model: ServedModel, call, message: str) -> None:
    recommender = told(model, events_of("anna", 6, model))
    before = recommender.events("anna"), answer(recommender)
    with pytest.raises(ValueError, match=message) as caught:
        call(recommender)
    assert len(str(caught.value)) < 300
    assert (recommender.events("anna"), answer(recommender)) == before


def test_a_network_that_fails_leaves_the_event_unobserved(
    model: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = events_of("anna", 6, model)
    recommender = told(model, events[:5])
    before = answer(recommender)
    with monkeypatch.context() as patch:
        patch.setattr(recommender.reader, "step", None)
        with pytest.raises(TypeError):
            recommender.observe(events[5])
    assert recommender.events("anna") == tuple(events[:5])
    assert answer(recommender) == before


# --- large catalogues -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(model: ServedModel) -> list[Output]:
    """What the network says of twelve users, over 20,000 items that differ in length and bias."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(len(model.items), (20_000,), generator=generator)
    own = model.network.embedding[rows]
    embedding = own + 0.05 * torch.randn(own.shape, generator=generator)
    embedding *= 0.7 + 0.6 * torch.rand(len(own), 1, generator=generator)
    bias = model.network.bias[rows] + torch.randn(len(own), generator=generator)
    outputs = []
    for number in range(12):
        user = f"user {number}"
        recommender = told(model, events_of(user, 12, model, number))
        output = recommender.output(user, recommender.asked("", NOW))
        mean = output.query.mean(2, keepdim=True)  # vectors far apart, and all of one weight
        apart = {"query": mean + 4 * (output.query - mean), "weight": 0 * output.weight}
        outputs.append(replace(output, embedding=embedding, bias=bias, law=None, **apart))
    return outputs


def recall(search: Search, outputs: list[Output], count: int = 10) -> float:
    """Share of the best items that a search finds; every score that it gives is checked."""
    shares = []
    for output in outputs:
        (ours, scores), (theirs, best) = search(output, count), exact(output, count)
        common, where = np.isin(ours, theirs), np.isin(theirs, ours)
        np.testing.assert_allclose(scores[common], best[where], atol=1e-4)
        shares.append(common.mean())
    return float(np.mean(shares))


# Few cells and neighbours: with many, all that could be wrong would be made good by reading more.
CELLS, NEAR = 64, {"breadth": 4, "least": 40}


def test_neighbours_of_all_vectors_hold_what_exact_search_finds(many: list[Output]) -> None:
    pytest.importorskip("faiss")
    index = build_index(many[0].embedding, many[0].bias, CELLS)
    cells = [index.invlists.list_size(cell) for cell in range(index.nlist)]
    assert max(cells) < 10 * 20_000 / index.nlist  # a search reads a few, all alike
    assert recall(Nearest(index, **NEAR), many) >= 0.97
    assert recall(Nearest(build_index(many[0].embedding, many[0].bias)), many, 50) >= 0.99
    ours, theirs = Nearest(index)(many[0], 20_000), exact(many[0], 20_000)
    assert ours[0].tolist() == theirs[0].tolist()


def test_what_is_lifted_for_being_new_is_found_too(many: list[Output]) -> None:
    pytest.importorskip("faiss")
    law = OccasionLaw(20_000, many[0].embedding.shape[1], requests=3)
    law.tell_births(np.random.default_rng(0).integers(0, 168, 20_000).astype(np.float32))
    torch.nn.init.constant_(law.fresh, 0.25)  # a log-odd between what is new and what is old
    dated = [replace(output, law=law) for output in many]
    apart = [
        np.isin(exact(d, 10)[0], exact(o, 10)[0]).mean() for d, o in zip(dated, many, strict=True)
    ]
    assert np.mean(apart) < 0.9
    assert recall(Nearest(build_index(many[0].embedding, many[0].bias)), dated) >= 0.99


class _OneVector(Nearest):
    def vectors(self, output: Output) -> torch.Tensor:
        return super().vectors(output)[:1]


class _Mean(Nearest):
    def vectors(self, output: Output) -> torch.Tensor:
        return super().vectors(output)[-1:]


def test_a_fault_of_the_index_or_the_search_is_seen_in_the_recall(many: list[Output]) -> None:
    pytest.importorskip("faiss")
    embedding, bias = many[0].embedding, many[0].bias
    index = build_index(embedding, bias, CELLS)
    faulty = {
        "an index without biases": Nearest(build_index(embedding, 0 * bias, CELLS), **NEAR),
        "an index of directions": Nearest(
            build_index(torch.nn.functional.normalize(embedding), bias, CELLS), **NEAR
        ),
        "a single cell read": Nearest(build_index(embedding, bias, 1), **NEAR),
        "items in another order": Nearest(build_index(embedding.flip(0), bias, CELLS), **NEAR),
        "one interest vector": _OneVector(index, **NEAR),
        "their mean alone": _Mean(index, **NEAR),
    }
    found = {name: recall(search, many) for name, search in faulty.items()}
    assert max(found.values()) < 0.95, found


def test_an_export_for_neighbours_is_served_by_them(
    model: ServedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("faiss")
    save(model, tmp_path / "a", search="faiss")
    loaded = Recommender.load(tmp_path / "a")
    assert isinstance(loaded.search, Nearest)
    assert answer(loaded) == answer(Recommender(model))
    best = [line.item_id for line in answer(loaded)]
    rest = loaded.recommend("anna", k=5, at=NOW, exclude=best[:5])
    assert not {line.item_id for line in rest} & set(best[:5])
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(ValueError, match=r"pip install 'driftrec\[serving\]'"):
        Recommender.load(tmp_path / "a")


def test_ties_go_to_the_item_that_comes_first(recommender: Recommender) -> None:
    output = recommender.output("nobody", Asked(0, (0.0,) * 4))
    output.query, output.bias = output.query * 0, torch.zeros(1000)
    assert exact(output, 5)[0].tolist() == [0, 1, 2, 3, 4]
