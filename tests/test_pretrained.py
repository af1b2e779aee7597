"""Facts about user models whose body is a pretrained language model."""

from __future__ import annotations

import json
from importlib.util import find_spec

import gymnasium as gym
import pytest
import torch
from tokenizers import Tokenizer, models
from transformers import (
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaModel,
    PreTrainedTokenizerFast,
)
from typer.testing import CliRunner

import driftrec.envs  # noqa: F401
from driftrec.agents.attention import InterestAdjuster
from driftrec.agents.language import load_backbone
from driftrec.agents.language.embeddings import fingerprint
from driftrec.agents.learners import load_learner, make_learner
from driftrec.agents.serving import Event, Recommender, ServedModel, save
from driftrec.envs.sb3 import BatchVecEnv
from driftrec.experiments.cli import app

SMALL = {"slate_size": 3, "history": 4, "horizon": 6}
SHAPE = {
    "vocab_size": 15,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 64,
    "initializer_range": 0.3,
}
NEEDS_ACCELERATE = pytest.mark.skipif(
    find_spec("accelerate") is None, reason="accelerate is not installed: make models"
)


@pytest.fixture(scope="module", params=["bert", "llama"])
def folder(request, tmp_path_factory) -> str:
    """Of a random model that would drop out half of what it thinks, were it let."""
    path = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    if request.param == "bert":
        config = BertConfig(**SHAPE, hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.5)
        BertModel(config).save_pretrained(path)
    else:
        LlamaModel(LlamaConfig(**SHAPE, bos_token_id=2, eos_token_id=3)).save_pretrained(path)
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(15)}, unk_token="w1"))
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="w0", unk_token="w1").save_pretrained(
        path
    )
    return str(path)


@pytest.fixture(scope="module")
def env() -> BatchVecEnv:
    return BatchVecEnv(gym.make_vec("driftrec/Video-v0", 4, diagnostics=False, **SMALL))


def learner(env: BatchVecEnv, folder: str, agent: str = "interest-attention", **options):
    options = {"hidden": 16, "pretrain_steps": 24, "privileged": True, **options}
    return make_learner(agent, "ppo", env, seed=1, backbone=folder, **options)


def weights(made) -> dict[str, torch.Tensor]:
    """Copies of the language model's own."""
    state = made.policy.network.backbone.model.state_dict()
    return {name: part.clone() for name, part in state.items()}


def episodes(steps: int = 9) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    slates = torch.randint(1000, (3, steps, 3), generator=generator)
    feedback = torch.rand(3, steps, 3, generator=generator).round()
    request = torch.randint(5, (3, steps), generator=generator)
    return slates, feedback, request, torch.rand(3, steps, 4, generator=generator)


@pytest.mark.parametrize("agent", ["interest-attention", "static-attention"])
def test_an_encoder_too_reads_slates_one_by_one_as_in_one_causal_pass(
    env: BatchVecEnv, folder: str, agent: str
) -> None:
    network = learner(env, folder, agent).policy.network.train()  # no dropout even so
    generator = torch.Generator().manual_seed(0)
    for path, weight in network.named_parameters():
        if path in ("vectors.weight", "adjuster.gain.weight"):
            torch.nn.init.normal_(weight, std=0.3, generator=generator)
    parts = episodes()
    with torch.no_grad():
        whole = network(*parts, last=6).scores
        output, memory = network.begin(*(part[:, :4] for part in parts))
        torch.testing.assert_close(output.scores, whole[:, :1], atol=1e-4, rtol=0)
        for t in range(4, 9):
            output, memory = network.step(memory, *(part[:, t : t + 1] for part in parts))
            torch.testing.assert_close(output.scores, whole[:, t - 3 : t - 2], atol=1e-4, rtol=0)


def test_a_frozen_model_stays_as_it_was_and_is_in_no_file(
    env: BatchVecEnv, folder: str, check_saved, tmp_path
) -> None:
    made = learner(env, folder)
    before = weights(made)
    entry = made.policy.network.backbone.enter.weight.clone()
    made.learn(48)
    assert all(torch.equal(part, before[name]) for name, part in weights(made).items())
    assert not torch.equal(made.policy.network.backbone.enter.weight, entry)
    assert not [name for name in made.policy.state_dict() if ".backbone.model." in name]
    check_saved(made, env)


def test_fine_tuning_is_gentle_and_warms_up(env: BatchVecEnv, folder: str, check_saved) -> None:
    rate, warm_up = 1e-3, 8
    made = learner(
        env, folder, finetune=True, finetune_rate=rate, finetune_warmup=warm_up, n_epochs=2
    )
    before = weights(made)
    rates, step = [], made.policy.optimizer.step

    def watched() -> None:
        (group,) = [g for g in made.policy.optimizer.param_groups if "peak" in g]
        rates.append(group["lr"])
        step()

    made.policy.optimizer.step = watched
    made.learn(144)
    del made.policy.optimizer.step
    expected = [rate * min(1, (n + 1) / warm_up) for n in range(len(rates))]
    assert rates == pytest.approx(expected) and len(rates) > warm_up
    moved = {n: float((part - before[n]).abs().max()) for n, part in weights(made).items()}
    assert max(moved.values()) > 0
    assert max(moved.values()) <= 1.5 * sum(rates)  # a step of Adam is hardly longer than its rate
    loaded = check_saved(made, env)
    theirs = weights(loaded)
    assert all(torch.equal(part, theirs[name]) for name, part in weights(made).items())
    (group,) = [g for g in loaded.policy.optimizer.param_groups if "peak" in g]
    assert group["done"] == len(rates)  # a run that goes on does not warm up again


def test_its_rate_is_a_hundred_thousandth_unless_told(env: BatchVecEnv, folder: str) -> None:
    made = learner(env, folder, finetune=True)
    (group,) = [g for g in made.policy.optimizer.param_groups if "peak" in g]
    assert group["peak"] == 1e-5
    own = {id(p) for p in made.policy.network.backbone.model.parameters()}
    assert {id(p) for p in group["params"]} == own


@pytest.mark.skipif(find_spec("peft") is None, reason="peft is not installed: make models")
def test_adapters_learn_while_the_model_stays(env: BatchVecEnv, folder: str, check_saved) -> None:
    made = learner(env, folder, lora=2)
    before = weights(made)
    made.learn(48)
    moved = {name for name, part in weights(made).items() if not torch.equal(part, before[name])}
    assert moved and all("lora_" in name for name in moved)
    loaded = check_saved(made, env)
    assert all(torch.equal(weights(loaded)[name], weights(made)[name]) for name in moved)


def test_a_frozen_run_can_be_trained_on_unfrozen_but_not_the_other_way(
    env: BatchVecEnv, folder: str
) -> None:
    frozen, free = learner(env, folder), learner(env, folder, finetune=True)
    free.policy.load_state_dict(frozen.policy.state_dict())
    with pytest.raises(ValueError, match="weights of a frozen language model must not be loaded"):
        frozen.policy.load_state_dict(free.policy.state_dict())


@pytest.mark.parametrize("options", [{}, {"finetune": True}])
def test_an_export_serves_what_was_trained(
    env: BatchVecEnv, folder: str, options: dict, tmp_path
) -> None:
    made = learner(env, folder, **options)
    with torch.no_grad():
        made.policy.network.vector.weight.normal_(std=0.3)
        for weight in made.policy.network.backbone.gentle():
            weight.mul_(1.1)
    world = env.get_attr("simulator")[0].world
    model = ServedModel.of(made.policy.network, 3, world.catalog, world.request_text)
    save(model, tmp_path / "a")
    answers = []
    for served in (Recommender(model), Recommender.load(tmp_path / "a")):
        for item in range(5):
            served.observe(Event("anna", world.catalog.ids[item], 0.5))
        output = served.output("anna", served.asked("", None))
        answers.append(output.query)
    torch.testing.assert_close(answers[0], answers[1])


@NEEDS_ACCELERATE
@pytest.mark.parametrize("device_map", ["cpu", "auto"])
def test_a_model_may_be_spread_over_devices(env: BatchVecEnv, folder: str, device_map: str) -> None:
    whole, spread = learner(env, folder), learner(env, folder, device_map=device_map)
    parts = episodes()
    with torch.no_grad():
        ours, theirs = (m.policy.network(*parts).query for m in (whole, spread))
    torch.testing.assert_close(ours, theirs)


@NEEDS_ACCELERATE
def test_layers_may_lie_on_the_disk_and_hear_the_interest_all_the_same(
    folder: str, tmp_path
) -> None:
    """As where a model is larger than the memory."""
    whole = load_backbone(folder)
    layers = "encoder.layer" if whole.model.config.model_type == "bert" else "layers"
    rest = [name for name, _ in whole.model.named_children() if name != layers.split(".")[0]]
    places = {**dict.fromkeys(rest, "cpu"), f"{layers}.0": "cpu", f"{layers}.1": "disk"}
    parts = load_backbone(folder, device_map=places, cache=tmp_path)
    assert any(p.is_meta for p in parts.model.parameters())
    adjuster = InterestAdjuster(whole.model.config, 8, 0, whole.rotary)
    torch.nn.init.normal_(adjuster.gain.weight)
    tokens = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        adjust = [adjuster(torch.ones(2, 1, 8)) for _ in range(2)]
        ours, theirs = (
            made.model(inputs_embeds=tokens, interest=interest).last_hidden_state
            for made, interest in zip((whole, parts), adjust, strict=True)
        )
    torch.testing.assert_close(theirs, ours)
    assert fingerprint(parts) != fingerprint(whole)
    with pytest.raises(ValueError, match="device_map"):
        load_backbone(folder, device_map="nowhere")


def test_without_accelerate_a_device_map_is_refused(folder: str, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"device_map needs the package accelerate.*'auto'"):
        load_backbone(folder, device_map="auto")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"finetune": True, "backbone": ""}, "finetune must be left alone without a backbone"),
        ({"lora": 2, "backbone": ""}, "lora must be left alone without a backbone, got 2"),
        ({"device_map": "cpu", "backbone": ""}, "device_map must be left alone"),
        ({"finetune": True, "finetune_rate": 0.0}, "finetune_rate must be above 0, got 0.0"),
        ({"finetune": True, "finetune_warmup": 0}, "finetune_warmup must be at least 1, got 0"),
        ({"finetune": True, "lora": 2}, "lora must be at least 0, and 0 with finetune"),
    ],
)
def test_options_that_say_nothing_are_refused(
    env: BatchVecEnv, folder: str, options: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_learner("interest-attention", "ppo", env, **{"backbone": folder, **options})


def test_the_command_line_trains_an_unfrozen_backbone(folder: str, tmp_path) -> None:
    steps = ["--steps", "24", "--num-envs", "4", "--option", "hidden=16", "--log-only"]
    world = [f"--env-option={name}={value}" for name, value in SMALL.items()]
    told = ["--backbone", folder, "--finetune", *steps, *world]
    done = CliRunner().invoke(app, ["train", *told, "--out", str(tmp_path / "a"), "--json"])
    assert done.exit_code == 0, done.output
    config = json.loads((tmp_path / "a" / "config.json").read_text(encoding="utf-8"))
    options = config["train"]["learner_options"]
    assert options["finetune"] is True and options["backbone"] == folder
    network = load_learner(str(tmp_path / "a" / "model.zip")).policy.network
    assert len(network.backbone.gentle()) > 10
    refused = CliRunner().invoke(app, ["train", "--finetune", *steps, "--out", str(tmp_path / "b")])
    assert refused.exit_code == 2
    assert "finetune must be left alone without a backbone" in refused.output
