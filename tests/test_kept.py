import numpy as np
import pytest
import torch

from driftrec.agents import kept
from driftrec.agents.kept import fit_once
from driftrec.agents.logfit import Behaviour
from driftrec.agents.networks import NETWORKS
from driftrec.agents.platform import Platform
from driftrec.agents.policy import ItemTable
from driftrec.experiments.worlds import make_batch

pytestmark = pytest.mark.usefixtures("one_thread")

PASSES = 2


@pytest.fixture(scope="module")
def log():
    env = make_batch("driftrec/DriftingInterest-v0", 1, {"slate_size": 3})
    table, found = ItemTable.of(env), Platform.of(env).log
    return table, found.slates[:96], found.feedback[:96]


def build(table: ItemTable, agent: str = "interest-attention", seed: int = 0):
    torch.manual_seed(seed)
    cls, shape = NETWORKS[agent]
    config = cls.Config(**shape, lasting=3, passing=4)
    features, average = torch.tensor(table.features), torch.tensor(table.average)
    return cls(features, average, torch.zeros(len(average)), 5, config)


def fit(log, folder, agent="interest-attention", seed=0, users=64):
    network, generator = build(log[0], agent, seed), np.random.default_rng(seed)
    read = Behaviour(log[1][:users], log[2][:users])
    losses = fit_once(network, read, PASSES, generator, folder)
    return network, losses, generator.random()


def test_a_fit_is_found_again_and_is_the_same_to_the_last_bit(log, tmp_path, monkeypatch):
    first, losses, after = fit(log, tmp_path)
    monkeypatch.setattr(kept, "fit_interest", lambda *a: pytest.fail("fitted twice"))
    second, again, then = fit(log, tmp_path)
    assert losses == again and len(losses) == PASSES
    assert after == then  # what is shuffled after it is shuffled alike
    for name, value in first.state_dict().items():
        assert torch.equal(value, second.state_dict()[name]), name


@pytest.mark.parametrize("agent", ["attention", "gru", "mlp", "static-attention"])
def test_networks_of_all_kinds_share_a_fit(log, tmp_path, monkeypatch, agent):
    flagship, _, _ = fit(log, tmp_path)
    monkeypatch.setattr(kept, "fit_interest", lambda *a: pytest.fail("fitted twice"))
    other, _, _ = fit(log, tmp_path, agent)
    assert torch.equal(flagship.passing_pull, other.passing_pull)


@pytest.mark.parametrize("change", [{"seed": 1}, {"users": 96}])
def test_another_seed_and_another_log_have_fits_of_their_own(log, tmp_path, change):
    fit(log, tmp_path)
    fit(log, tmp_path, **change)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_fit_is_made_again(log, tmp_path):
    _, losses, _ = fit(log, tmp_path)
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:100])
    assert fit(log, tmp_path)[1] == losses
    assert kept._read(path) is not None


def test_a_folder_that_cannot_be_written_to_is_no_error(log, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    assert len(fit(log, tmp_path / "file")[1]) == PASSES
