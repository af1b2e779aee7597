"""Facts about the key, pseudonyms, encrypted files and imported logs."""

from __future__ import annotations

import datetime
import itertools
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cryptography")
pytest.importorskip("pyarrow")

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from typer.testing import CliRunner

from driftrec.experiments.cli import app
from driftrec.experiments.errors import UserError
from driftrec.experiments.fitting.reading import EventLog, read_log
from driftrec.experiments.importing import ImportConfig, held_in_log, import_log
from driftrec.experiments.logfiles import PLAIN, SEALED, open_log
from driftrec.simulators.privacy import KEY, KEY_FILE, Pseudonyms, make_key, parse_key, read_key
from driftrec.simulators.privacy import write_key as write_key_file
from driftrec.simulators.sealed import CHUNK, seal, unseal

ONE, OTHER = bytes(range(32)), bytes(range(1, 33))
USERS = [f"customer-{n}@shop.example" for n in range(40)]


@pytest.fixture(autouse=True)
def key_file(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path_factory.mktemp("secret") / "key"
    write_key_file(path)
    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.setenv(KEY_FILE, str(path))
    return path


def frame(rows: int = 2000) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user_id": [USERS[n * 7 % 40] for n in range(rows)],
            "email": [USERS[n * 7 % 40] for n in range(rows)],
            "item_id": [f"item-{n * 13 % 90}" for n in range(rows)],
            "timestamp": [1_700_000_000 + 60 * n for n in range(rows)],
            "value": [n % 5 / 4 for n in range(rows)],
        }
    )


def as_csv(folder: Path, table: pd.DataFrame) -> Path:
    table.to_csv(folder / "log.csv", index=False)
    return folder / "log.csv"


def as_parquet(folder: Path, table: pd.DataFrame) -> Path:
    table.to_parquet(folder / "log.parquet", index=False)
    return folder / "log.parquet"


def imported(log: Path, out: Path, **more) -> pd.DataFrame:
    import_log(ImportConfig(log, out, **more))
    with open_log(out, more.get("key_file")) as table:
        return table.read().to_pandas()


# --- the key --------------------------------------------------------------------------------------


def test_a_key_is_random_and_read_from_environment_or_file(key_file, monkeypatch) -> None:
    assert make_key() != make_key()
    kept = read_key()
    assert kept == read_key(key_file) == parse_key(key_file.read_text(), "test")
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    monkeypatch.setenv(KEY, text := make_key())
    assert read_key() == parse_key(text, "test") != kept == read_key(key_file)
    with pytest.raises(ValueError, match=r"key file must be new, .* exists"):
        write_key_file(key_file)
    assert read_key(key_file) == kept


def test_a_missing_or_malformed_key_is_named_and_never_shown(tmp_path, monkeypatch) -> None:
    monkeypatch.delenv(KEY_FILE)
    with pytest.raises(ValueError, match="key must be given, got none: set DRIFTREC_KEY or"):
        read_key()
    with pytest.raises(ValueError, match=r"key file cannot be read .*No such file"):
        read_key(tmp_path / "none")
    for text in ("hunter2hunter2", "", "ключ", make_key()[:-8], make_key() + "AAAA"):
        (tmp_path / "bad").write_text(text, encoding="utf-8")
        with pytest.raises(ValueError, match="key must be 32 bytes in URL-safe base64") as error:
            read_key(tmp_path / "bad")
        assert not text or text not in str(error.value)


def test_a_key_file_beside_what_it_protects_is_refused(tmp_path, key_file) -> None:
    out = tmp_path / "out"
    (out / "deep").mkdir(parents=True)
    inside = out / "deep" / "key"
    write_key_file(inside)
    (tmp_path / "link").symlink_to(inside)
    (out / "link").symlink_to(key_file)
    log = as_csv(tmp_path, frame(5))
    for file in (inside, tmp_path / "link", out / "link", out / ".." / "out" / "deep" / "key"):
        with pytest.raises(ValueError, match="key file must lie outside of"):
            import_log(ImportConfig(log, out, file))
    assert not (out / SEALED).exists()


# --- pseudonyms -----------------------------------------------------------------------------------


def test_one_key_gives_one_name_and_another_none_in_common() -> None:
    ours, again, theirs = Pseudonyms(ONE), Pseudonyms(ONE), Pseudonyms(OTHER)
    named = {ours(user) for user in USERS}
    assert len(named) == len(USERS) and named == {again(user) for user in USERS}
    assert not named & {theirs(user) for user in USERS}
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in named)
    # Fixed for ever: by another way to compute HMAC-SHA256 than the one under test.
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.hmac import HMAC

    def mac(key: bytes, data: bytes) -> bytes:
        state = HMAC(key, SHA256())
        state.update(data)
        return state.finalize()

    assert ours("anna") == mac(mac(ONE, b"driftrec pseudonyms"), b"anna")[:16].hex()


# --- encrypted files ------------------------------------------------------------------------------


def sealed(path: Path, data: bytes, key: bytes = ONE, purpose: str = "test") -> Path:
    with seal(path, key, purpose) as stream:
        for start in range(0, len(data), 10_007):
            stream.write(data[start : start + 10_007])
    return path


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 77])
def test_what_was_sealed_is_read_whole_and_from_any_place(tmp_path: Path, size: int) -> None:
    data = os.urandom(size)
    path = sealed(tmp_path / "a", data)
    with unseal(path, ONE, "test") as stream:
        assert stream.read() == data
        for place in (0, size // 2, max(0, size - 5)):
            assert stream.seek(place) == place
            assert stream.read(50) == data[place : place + 50]
        assert stream.seek(-min(size, 9), os.SEEK_END) == size - min(size, 9)
        assert stream.read() == data[size - min(size, 9) :]


def test_equal_contents_look_unlike_and_show_nothing(tmp_path: Path) -> None:
    data = b"anna " * 30_000
    first, second = (sealed(tmp_path / name, data).read_bytes() for name in "ab")
    assert b"anna" not in first
    shared = sum(first[at : at + 16] == second[at : at + 16] for at in range(64, len(first), 16))
    assert shared == 0


def test_another_key_or_purpose_reads_nothing(tmp_path: Path) -> None:
    path = sealed(tmp_path / "a", b"secret")
    for key, purpose in ((OTHER, "test"), (ONE, "log")):
        with pytest.raises(ValueError, match="was encrypted with another key, or is no file of"):
            unseal(path, key, purpose)
    (tmp_path / "b").write_text("user_id,item_id\n" * 9)
    with pytest.raises(ValueError, match="must be a file that driftrec encrypted"):
        unseal(tmp_path / "b", ONE, "test")


def test_any_change_is_noticed(tmp_path: Path) -> None:
    data = os.urandom(3 * CHUNK + 50)
    path = sealed(tmp_path / "a", data)
    whole = path.read_bytes()
    head, step = 58, CHUNK + 16
    chunks = [whole[at : at + step] for at in range(head, len(whole), step)]
    other = sealed(tmp_path / "other", data).read_bytes()
    changed = {
        "a bit": [
            whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]
            for at in range(len(whole))[:: step // 9]
        ],
        "cut": [whole[:-1], whole[: head + step], whole[:head], whole[:20], b""],
        "dropped": [
            whole[:head] + b"".join(chunks[1:]),
            whole[:head] + b"".join(chunks[:1] + chunks[2:]),
        ],
        "swapped": [whole[:head] + b"".join([chunks[1], chunks[0], *chunks[2:]])],
        "longer": [whole + b"\0", whole + chunks[0]],
        "of another file": [whole[:head] + other[head : head + step] + whole[head + step :]],
    }
    for name, contents in changed.items():
        for content in contents:
            path.write_bytes(content)
            with pytest.raises(ValueError), unseal(path, ONE, "test") as stream:
                stream.read()
                pytest.fail(name)
    path.write_bytes(whole)
    with unseal(path, ONE, "test") as stream:
        assert stream.read() == data


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = sealed(tmp_path / "a", b"old")
    with pytest.raises(RuntimeError), seal(path, ONE, "test") as stream:
        stream.write(b"new" * CHUNK)
        raise RuntimeError
    assert [file.name for file in tmp_path.iterdir()] == ["a"]
    with unseal(path, ONE, "test") as stream:
        assert stream.read() == b"old"


def test_without_the_library_the_extra_is_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.ciphers.aead", None)
    with (
        pytest.raises(ValueError, match=r"pip install 'driftrec\[privacy\]'"),
        seal(tmp_path / "a", ONE, "test"),
    ):
        pass
    assert not list(tmp_path.iterdir())


# --- imported logs --------------------------------------------------------------------------------


@pytest.mark.parametrize("write", [as_csv, as_parquet])
@pytest.mark.parametrize("encrypt", [True, False])
def test_an_imported_log_is_the_log_under_other_names(tmp_path, write, encrypt, key_file) -> None:
    log, out = write(tmp_path, table := frame()), tmp_path / "out"
    got = imported(log, out, encrypt=encrypt)
    names = Pseudonyms(read_key(key_file))
    assert list(got) == ["user_id", "item_id", "timestamp", "value"]  # and no e-mail
    assert got["user_id"].tolist() == [names(user) for user in table["user_id"]]
    for column in ("item_id", "timestamp", "value"):
        assert got[column].tolist() == table[column].tolist()
    note = json.loads((out / "import.json").read_text())
    assert (note["rows"], note["left_out"], note["encrypted"]) == (2000, 0, encrypt)
    assert {f.name for f in out.iterdir()} == {SEALED if encrypt else PLAIN, "import.json"}
    again = imported(log, tmp_path / "again", encrypt=not encrypt)
    assert again.equals(got)
    write_key_file(tmp_path / "other")
    other = imported(log, tmp_path / "theirs", key_file=tmp_path / "other")
    assert not set(other["user_id"]) & set(got["user_id"])


def test_a_raw_id_is_never_written(tmp_path: Path, key_file: Path) -> None:
    """Nor is a file opened for writing elsewhere, if only for a moment."""
    log = as_csv(tmp_path, frame(300))
    code = (
        "import sys, os, io, builtins\n"
        "opened = []\n"
        "def hook(event, args):\n"
        "    if event == 'open' and isinstance(args[2], int)"
        " and args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT): opened.append(str(args[0]))\n"
        "import driftrec.experiments.importing as m, pyarrow.parquet, pathlib, json\n"
        "import cryptography.hazmat.primitives.ciphers.aead\n"
        "sys.addaudithook(hook)\n"
        f"log = pathlib.Path({str(log)!r})\n"
        "for encrypt, out in ((True, 'sealed'), (False, 'plain')):\n"
        "    m.import_log(m.ImportConfig(log, log.parent / out, encrypt=encrypt))\n"
        "print(json.dumps(opened))\n"
    )
    env = {**os.environ, KEY_FILE: str(key_file), "TMPDIR": str(tmp_path / "tmp")}
    (tmp_path / "tmp").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env
    )
    for name in json.loads(done.stdout):
        assert Path(name).parent in (tmp_path / "sealed", tmp_path / "plain"), name
    assert not list((tmp_path / "tmp").iterdir())
    raw = [user.encode() for user in USERS]
    for file in [*(tmp_path / "sealed").iterdir(), *(tmp_path / "plain").iterdir()]:
        content = file.read_bytes()
        assert not any(user in content for user in raw), file
    table = pq.read_table(tmp_path / "plain" / PLAIN)  # compressed: so look inside as well
    assert not {user for column in table.to_pydict().values() for user in column} & set(USERS)
    assert "shop.example" not in str(table.schema.metadata)


def test_a_folder_holds_nothing_that_can_be_read_without_the_key(tmp_path, key_file) -> None:
    table = frame(50)
    imported(as_csv(tmp_path, table), tmp_path / "out")
    content = b"".join(file.read_bytes() for file in (tmp_path / "out").iterdir())
    names = Pseudonyms(read_key(key_file))
    secrets = [key_file.read_bytes().strip(), read_key(key_file), b"item-13", b"PAR1"]
    assert not any(part in content for part in [*secrets, names(USERS[0]).encode()])
    write_key_file(tmp_path / "other")
    with (
        pytest.raises(ValueError, match="was encrypted with another key"),
        open_log(tmp_path / "out", tmp_path / "other"),
    ):
        pass
    sealed_log = tmp_path / "out" / SEALED
    whole = bytearray(sealed_log.read_bytes())
    whole[-20] ^= 1
    sealed_log.write_bytes(whole)
    with pytest.raises(ValueError, match="is damaged or was changed"), open_log(tmp_path / "out"):
        pass


def test_one_person_has_one_name_whatever_the_file_calls_numbers(tmp_path: Path) -> None:
    kinds = {
        "text": ["17850", "12583"],
        "int": [17850, 12583],
        "float": [17850.0, 12583.0],
        "padded": [" 17850", "12583 "],
    }
    times = {
        "text": ["2010-12-01 08:26:00"] * 2,
        "int": [1291191960] * 2,
        "float": [datetime.datetime(2010, 12, 1, 8, 26)] * 2,
        "padded": [1291191960.0] * 2,
    }
    got = []
    for name, users in kinds.items():
        (tmp_path / name).mkdir()
        table = pd.DataFrame({"CustomerID": users, "item": ["a", "b"], "when": times[name]})
        write = as_csv if name in ("text", "padded") else as_parquet
        columns = {"user_id": "CustomerID", "item_id": "item", "timestamp": "when"}
        got.append(imported(write(tmp_path / name, table), tmp_path / name / "o", columns=columns))
    assert all(table.equals(got[0]) for table in got)
    assert got[0]["timestamp"].tolist() == [1291191960.0] * 2
    assert got[0]["value"].tolist() == [1.0, 1.0]


def test_somebody_may_be_called_na(tmp_path: Path, key_file: Path) -> None:
    (tmp_path / "log.csv").write_text("user_id,item_id,timestamp\nNA,null,1\nnan,NA,2\n")
    got = imported(tmp_path / "log.csv", tmp_path / "out")
    names = Pseudonyms(read_key(key_file))
    assert got["user_id"].tolist() == [names("NA"), names("nan")]
    assert got["item_id"].tolist() == ["null", "NA"]


def test_a_log_longer_than_memory_allows_is_streamed(tmp_path: Path) -> None:
    log = as_csv(tmp_path, frame(150_000))
    import_log(ImportConfig(log, tmp_path / "out"))
    before = pa.total_allocated_bytes()
    with open_log(tmp_path / "out") as table:
        assert table.metadata.num_rows == 150_000 and table.metadata.num_row_groups > 2
        sizes = [len(batch) for batch in table.iter_batches(10_000)]
    assert sum(sizes) == 150_000 and pa.total_allocated_bytes() - before < 20e6


def test_who_opted_out_is_not_in_the_log(tmp_path: Path, key_file: Path) -> None:
    table = frame(400)
    (tmp_path / "out.txt").write_text(f"{USERS[3]}\n\n{USERS[8]}  \nnobody\n")
    log = as_csv(tmp_path, table)
    got = imported(log, tmp_path / "out", opted_out=tmp_path / "out.txt")
    never = table[~table["user_id"].isin([USERS[3], USERS[8]])]
    without = imported(as_csv(tmp_path, never), tmp_path / "never")
    assert got.equals(without) and len(got) < 400
    assert json.loads((tmp_path / "out" / "import.json").read_text())["left_out"] == 400 - len(got)
    assert held_in_log(tmp_path / "out", USERS[3])["events"] == []


def test_all_that_a_log_holds_on_a_user_is_given_to_them(tmp_path: Path) -> None:
    table = frame(400)
    imported(as_csv(tmp_path, table), tmp_path / "out")
    args = ["export-user", "--log", str(tmp_path / "out"), "--user", USERS[5]]
    result = CliRunner().invoke(app, args)
    assert result.exit_code == 0, result.stderr
    own = table[table["user_id"] == USERS[5]][["item_id", "timestamp", "value"]]
    assert json.loads(result.stdout)["events"] == own.to_dict("records") != []


def test_an_encrypted_log_is_fitted_like_the_log_itself(tmp_path: Path, monkeypatch) -> None:
    log = as_csv(tmp_path, frame(500))
    import_log(ImportConfig(log, tmp_path / "out"))
    items = [f"item-{n}" for n in range(90)]
    raw, ours = read_log(log, items), read_log(tmp_path / "out", items)
    assert read_log(tmp_path / "out" / SEALED, items).item.tolist() == ours.item.tolist()

    def histories(log: EventLog) -> list[list[tuple[int, float]]]:
        pairs = list(zip(log.item.tolist(), log.time.tolist(), strict=True))
        return sorted(pairs[a:b] for a, b in itertools.pairwise(log.first))

    assert histories(raw) == histories(ours) and raw.num_users == 40
    assert raw.popularity.tolist() == ours.popularity.tolist()
    monkeypatch.delenv(KEY_FILE)
    with pytest.raises(ValueError, match="key must be given, got none"):
        read_log(tmp_path / "out", items)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user_id,item_id,timestamp\nu@x.org,a,1\n,b,2\n", "row 2: expected a user_id, got an emp"),
        ("user_id,item_id,timestamp\nu@x.org,a,1\n  ,b,2\n", "row 2: expected a user_id, got an e"),
        ("user_id,item_id,timestamp\nu@x.org,a,1\nv@x.org,,2\n", "row 2: expected a item_id"),
        ("user_id,item_id,timestamp\nu@x.org,a,\n", "row 1: expected a timestamp, got an empty"),
        ("user_id,item_id,timestamp\nu@x.org,a,noon\n", "timestamp must be seconds, or dates and"),
        ("user_id,item_id,timestamp\nu@x.org,a,1,9,u@x.org\n", "expected CSV with one kind"),
        (
            "user,item_id,timestamp\nu@x.org,a,1\n",
            "expected a column 'user_id' .*--column user_id",
        ),
        ("u@x.org,a,1\nv@x.org,b,2\n", "got 3 columns of other names"),
        ("user_id,item_id,timestamp\nu@x.org,a,1\nv@x.org,b,nan\n", "row 2: timestamp must be fi"),
        ("", "expected CSV"),
    ],
)
def test_a_bad_log_is_named_and_its_people_are_not(tmp_path, text, message) -> None:
    log, out = tmp_path / "log.csv", tmp_path / "out"
    log.write_text("user_id,item_id,timestamp\nold,a,1\n")
    import_log(ImportConfig(log, out))
    before = (out / SEALED).read_bytes()
    log.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        import_log(ImportConfig(log, out))
    assert "x.org" not in str(error.value)
    assert (out / SEALED).read_bytes() == before
    assert {f.name for f in out.iterdir()} == {SEALED, "import.json"}


def test_what_cannot_be_imported_is_refused(tmp_path: Path) -> None:
    log = as_csv(tmp_path, frame(5))
    with pytest.raises(UserError, match="log must lie outside of"):
        ImportConfig(log, tmp_path)
    with pytest.raises(UserError, match=r"columns must be of user_id, .* got 'customer'"):
        ImportConfig(log, tmp_path / "out", columns={"customer": "x"})
    with pytest.raises(UserError, match=r"log must be a \.csv or \.parquet file"):
        import_log(ImportConfig(tmp_path / "none.csv", tmp_path / "out"))
    with (
        pytest.raises(UserError, match="log must be a file or folder of `driftrec import`"),
        open_log(tmp_path),
    ):
        pass


def test_the_commands_make_a_key_and_import(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv(KEY_FILE)
    log, out = as_csv(tmp_path, frame(9)), tmp_path / "out"
    run = ["import", "--log", str(log), "--out", str(out)]
    missing = CliRunner().invoke(app, run)
    assert missing.exit_code == 2 and "key must be given, got none" in missing.stderr
    assert not out.exists()
    secret = tmp_path / "secret"
    assert CliRunner().invoke(app, ["key", str(secret)]).exit_code == 0
    done = CliRunner().invoke(app, [*run, "--key-file", str(secret)])
    assert done.exit_code == 0 and "9 events" in done.stdout
    with open_log(out, secret) as table:
        assert table.metadata.num_rows == 9
