"""From a log to a world: what is read, measured, written and compared."""

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest

pytest.importorskip("sklearn")
pa = pytest.importorskip("pyarrow")
from pyarrow import csv, parquet  # noqa: E402

import driftrec.envs  # noqa: E402, F401
from driftrec.experiments.errors import UserError  # noqa: E402
from driftrec.experiments.fitting.calibrate import calibrate  # noqa: E402
from driftrec.experiments.fitting.command import FitConfig, fit_command  # noqa: E402
from driftrec.experiments.fitting.estimate import estimate_drift  # noqa: E402
from driftrec.experiments.fitting.fidelity import compare  # noqa: E402
from driftrec.experiments.fitting.free import Rhythm, free_log  # noqa: E402
from driftrec.experiments.fitting.habits import visits  # noqa: E402
from driftrec.experiments.fitting.interest import (  # noqa: E402
    fit_curve,
    fit_interest,
    interest_sums,
)
from driftrec.experiments.fitting.items import read_items, text_vectors, with_topics  # noqa: E402
from driftrec.experiments.fitting.preset import Knobs, Measured, measure_users  # noqa: E402
from driftrec.experiments.fitting.public import convert  # noqa: E402
from driftrec.experiments.fitting.reading import make_log, read_log  # noqa: E402
from driftrec.experiments.fitting.report import verdict  # noqa: E402
from driftrec.experiments.fitting.search import search  # noqa: E402
from driftrec.experiments.fitting.surface import Surface  # noqa: E402
from driftrec.simulators import Simulator, build_world, load_domain  # noqa: E402
from driftrec.simulators.drift import (  # noqa: E402
    GradualDrift,
    Satiation,
    SeasonalDrift,
    SessionInterest,
)
from driftrec.simulators.fitted import load_fitted, save_fitted, to_toml  # noqa: E402
from driftrec.simulators.readers import load_catalog  # noqa: E402

DATA = Path(__file__).parent.parent.parent / "shared" / "data"
JUMPS = SessionInterest(half_life=25.0, weight=0.8, following=0.0)
WANDERS = GradualDrift(half_life=30.0, spread=0.8)
RHYTHM = Rhythm()


def users_of(*drift, items=200):
    domain = replace(load_domain("plain"), affinity=6.0, drift=drift)
    catalog = load_catalog(None, "video").take(np.arange(0, 1000, 1000 // items))
    world = build_world(catalog, domain.population, None, (), 0)
    return Simulator(domain, world, slate_size=1, history=1)


def measured(simulator, users=400, seed=0, window=20):
    log = free_log(simulator, users, 10 * window, seed, RHYTHM)
    world = simulator.world
    vectors, topic = world.attributes.astype(float), world.topic.astype(np.int64)
    return estimate_drift(log, vectors, topic, resamples=100, nulls=2, seed=seed)


@pytest.fixture(scope="module")
def jumping():
    return measured(users_of(JUMPS))


def inside(value, interval):
    return interval.low <= value <= interval.high


# --- reading


def table_of(rows):
    rng = np.random.default_rng(1)
    users, items = rng.integers(0, rows // 20, rows), rng.integers(0, 30, rows)
    return pa.table(
        {
            "user_id": pa.array(users).cast(pa.string()),
            "item_id": pa.array(items).cast(pa.string()),
            "timestamp": pa.array(rng.integers(0, 10**6, rows)),
        }
    )


IDS = [str(i) for i in range(30)]


def test_times_are_read_to_the_microsecond_and_must_be_finite(tmp_path):
    table, file = table_of(40), tmp_path / "log.parquet"
    nanos = pa.array(1_577_836_800_123_456_789 + np.arange(40)).cast(pa.timestamp("ns"))
    parquet.write_table(table.set_column(2, "timestamp", nanos), file)
    assert read_log(file, IDS).time[0] == pytest.approx(1_577_836_800.123456, abs=1e-5)
    seconds = np.arange(40.0)
    seconds[7] = np.inf
    parquet.write_table(table.set_column(2, "timestamp", pa.array(seconds)), file)
    with pytest.raises(UserError, match="row 8: expected a timestamp, got NaN or infinity"):
        read_log(file, IDS)


def test_csv_and_parquet_of_a_log_are_read_alike(tmp_path):
    table = table_of(3000)
    csv.write_csv(table, tmp_path / "log.csv")
    parquet.write_table(table, tmp_path / "log.parquet")
    one, other = (read_log(tmp_path / f"log.{kind}", IDS) for kind in ("csv", "parquet"))
    np.testing.assert_array_equal(one.item, other.item)
    np.testing.assert_array_equal(one.user, other.user)
    assert one.rows == 3000
    assert one.share == 1
    np.testing.assert_array_equal(one.popularity, np.bincount(one.item, minlength=30))
    assert (np.diff(one.time)[np.diff(one.user) == 0] >= 0).all()


def test_a_log_too_long_is_sampled_by_whole_users_whatever_the_order_of_rows(tmp_path):
    table = table_of(20_000)
    parquet.write_table(table, tmp_path / "a.parquet")
    order = np.random.default_rng(2).permutation(20_000)
    parquet.write_table(table.take(order), tmp_path / "b.parquet")
    whole = read_log(tmp_path / "a.parquet", IDS)
    some, again = (read_log(tmp_path / f"{n}.parquet", IDS, max_events=6000) for n in "ab")
    assert len(some) <= 6000 < len(whole)
    assert some.share in (0.5, 0.25)
    lengths = np.diff(whole.first).tolist()
    assert all(n in lengths for n in np.diff(some.first))
    assert abs(np.diff(some.first).mean() - np.mean(lengths)) < 1
    np.testing.assert_array_equal(np.diff(some.first), np.diff(again.first))
    np.testing.assert_array_equal(some.popularity, whole.popularity)


def test_times_are_read_as_seconds_and_as_dates(tmp_path):
    (tmp_path / "log.csv").write_text("who,what,when\nu,1,2020-01-01 00:00:10\nu,2,2020-01-01\n")
    names = {"user_id": "who", "item_id": "what", "timestamp": "when"}
    log = read_log(tmp_path / "log.csv", IDS, names)
    assert log.item.tolist() == [2, 1]
    assert np.diff(log.time) == 10


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("user_id,item_id\nu,1\n", "expected a column 'timestamp'"),
        ("user_id,item_id,timestamp\nu,1,5\nu,77,5\n", "row 2: expected an item_id of .*'77'"),
        ("user_id,item_id,timestamp\nu,1,\n", "row 1: expected a timestamp, got an empty"),
        ("user_id,item_id,timestamp\nu,1,soon\n", "timestamp must be seconds, or dates"),
        ("user_id,item_id,timestamp\n,1,5\n", "row 1: expected a user_id, got an empty"),
        ("user_id,item_id,timestamp\nu,1,5,6\n", r"got a file with faults$"),
        ("user_id,item_id,timestamp\n", "expected rows of user_id, item_id, timestamp, got none"),
    ],
)
def test_a_bad_log_is_refused_by_row(tmp_path, text, message):
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_log(tmp_path / "log.csv", IDS)


# --- items


def test_items_without_topics_are_grouped_by_their_words(tmp_path):
    names = [f"{color} {kind} {i}" for kind in ("kettle", "tent") for color in ("red", "blue")
             for i in ("small", "large", "huge")]  # fmt: skip
    (tmp_path / "items.csv").write_text(
        "item_id,title\n" + "".join(f"{i},{name}\n" for i, name in enumerate(names))
    )
    items = read_items(tmp_path / "items.csv")
    topics = with_topics(items, text_vectors(items), number=2)
    assert len({t for t, name in zip(topics, names, strict=True) if "kettle" in name}) <= 2
    assert len(set(topics)) == 2


def test_a_repeated_item_is_refused_by_line(tmp_path):
    (tmp_path / "items.csv").write_text("item_id,title\na,x\na,y\n")
    with pytest.raises(ValueError, match="line 3, column 'item_id': expected an id that no"):
        read_items(tmp_path / "items.csv")


# --- drift


def test_the_curve_is_fitted_exactly_where_it_is_exact():
    lag = np.arange(1, 9)
    stable, fading, tau = fit_curve((0.5 + 0.4 * np.exp(-lag / 2.75))[None])
    np.testing.assert_allclose([stable[0], fading[0], tau[0]], [0.5, 0.4, 2.75], rtol=0.05)


def test_the_half_life_of_interest_that_jumps_is_found(jumping):
    assert inside(25, jumping.half_life)
    assert jumping.half_life.high < 60
    assert jumping.abrupt.low > 0.6
    assert inside(np.log(2) / 25, jumping.shift_rate)


def test_interest_that_wanders_is_not_taken_for_jumps():
    found = measured(users_of(WANDERS))
    assert found.abrupt.low < 0.3
    assert found.abrupt.estimate < 0.8
    assert inside(30 / 1.42, found.half_life)


def test_shuffled_events_do_not_drift(jumping):
    assert min(jumping.shuffled) > 0.93
    assert jumping.curve[-1].high < 0.85


def test_users_who_stand_still_keep_their_interest():
    found = measured(users_of())
    assert min(value.high for value in found.curve) > 0.95


def test_the_hour_is_found_where_it_matters_and_only_there(jumping):
    seasonal = measured(users_of(SeasonalDrift(period=24.0, weight=0.6)))
    assert seasonal.seasons["day"].low > max(seasonal.seasons_null["day"], 0.02)
    assert seasonal.seasons["week"].estimate == 0  # two weeks tell nothing of weekdays
    assert jumping.seasons["day"].low < 0.005


@pytest.mark.slow
def test_knobs_that_were_simulated_are_recovered():
    true = users_of(JUMPS, Satiation(half_life=6.0, weight=0.4))
    found, world = measured(true, seed=10), true.world
    assert found.satiation.low > 0.05
    vectors = world.attributes.astype(float)
    fitted = calibrate(found, world.catalog, vectors, RHYTHM, seed=10**6)
    assert 0.05 < fitted.satiation.low < 0.4 < fitted.satiation.high
    assert fitted.satiation.estimate == pytest.approx(0.4, abs=0.2)
    assert abs(fitted.knobs.affinity - 6) < 1
    assert fitted.reached.stable == pytest.approx(found.stable.estimate, abs=0.05)


def test_knobs_that_answer_for_one_another_are_found_together():
    asked = []

    def measure(knobs):  # satiation passes for stability and fading interest hides satiation
        asked.append(knobs)
        odds = 0.5 * knobs.fading**2.5 * np.exp(-2.0 * knobs.satiation) * knobs.affinity**0.3
        loss = 0.3 * knobs.satiation + knobs.satiation**2 - 0.8 * np.log(knobs.fading / 0.8)
        level = 0.01 * knobs.affinity**1.8 * np.exp(-1.5 * knobs.satiation)
        return Measured(level, 1 / (1 + odds), loss, 20.0, {})

    for truth in (Knobs(5.0, 1.1, 0.4), Knobs(8.0, 0.5, 0.1), Knobs(6.0, 0.8, 0.0)):
        wanted = measure(truth)
        found = measure(search(measure, Knobs(), wanted).knobs)
        assert found.loss == pytest.approx(wanted.loss, abs=0.02)
        assert found.stable == pytest.approx(wanted.stable, abs=0.02)
        assert found.level == pytest.approx(wanted.level, rel=0.02)
    assert len(asked) <= 3 * 12
    welcome = replace(measure(Knobs()), loss=-0.2)  # a topic is the more welcome: no satiation
    assert search(measure, Knobs(), welcome).knobs.satiation == 0


def test_a_log_with_too_few_events_a_user_is_refused():
    log = make_log(np.repeat(np.arange(60), 20), np.zeros(1200), np.arange(1200), np.ones(1))
    with pytest.raises(ValueError, match=r"50 users with 45 events or more .* got 0"):
        interest_sums(log, np.ones((1, 2)))


# --- evidence


def test_order_within_one_sitting_is_no_evidence_of_drift():
    simulator = users_of(JUMPS)
    at_once = Rhythm(length=1e9, within=20.0)
    log = free_log(simulator, 60, 180, 0, at_once)
    assert visits(log, 180).at_once == 1
    vectors, topic = simulator.world.attributes.astype(float), simulator.world.topic.astype(int)
    found = estimate_drift(log, vectors, topic, resamples=20, nulls=1)
    assert not found.order_is_evidence
    assert "no evidence of drift" in verdict(found)
    spread = free_log(simulator, 60, 180, 0, RHYTHM)
    assert visits(spread, 180).at_once < 0.5


# --- the world in a folder


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit")
    simulator = users_of(JUMPS, items=100)
    catalog = simulator.world.catalog
    log = free_log(simulator, 120, 90, 0, RHYTHM)
    lines = [f"{i},{t}" for i, t in zip(catalog.ids, catalog.title, strict=True)]
    (folder / "items.csv").write_text("item_id,title\n" + "\n".join(lines).replace('"', ""))
    ids = [catalog.ids[i] for i in log.item]
    rows = zip(log.user, ids, log.time, strict=True)
    text = "user_id,item_id,timestamp\n" + "".join(f"anna{u},{i},{t:.0f}\n" for u, i, t in rows)
    (folder / "log.csv").write_text(text)
    out = folder / "world"
    result = fit_command(FitConfig(folder / "log.csv", folder / "items.csv", out))
    return out, result


def test_a_fitted_world_is_an_environment(fitted):
    folder, _ = fitted
    env = gym.make("driftrec/DriftingInterest-v0", domain=folder)
    assert env.unwrapped.catalog.affinity is not None
    env.reset(seed=1)
    env.step(env.action_space.sample())
    batch = gym.make_vec("driftrec/Video-v0", num_envs=3, domain=folder)
    observation, _ = batch.reset(seed=1)
    single, _ = env.reset(seed=1)
    np.testing.assert_array_equal(observation["slates"][0], single["slates"])


def test_a_fitted_world_says_what_it_rests_on(fitted):
    folder, result = fitted
    report = (folder / "report.md").read_text()
    assert "classifier" in report
    assert (folder / "fidelity.png").stat().st_size > 10_000
    plain = json.loads((folder / "fit.json").read_text())
    assert plain["estimate"]["users"] == result.estimate.users
    knobs = tomllib.loads((folder / "domain.toml").read_text())
    assert set(knobs["drift"]) >= {"session"} or set(knobs["drift"]) >= {"gradual"}


def test_no_id_of_a_user_is_written(fitted):
    folder, _ = fitted
    files = [path for path in folder.iterdir() if path.is_file()]
    assert {"domain.toml", "items.csv", "report.md", "fit.json"} < {path.name for path in files}
    assert not any(b"anna" in path.read_bytes() for path in files)
    with np.load(folder / "vectors.npz") as arrays:
        assert set(arrays.files) == {"items", "users"}


def test_too_few_to_compare_with_are_refused_before_the_work(fitted, tmp_path):
    folder, _ = fitted
    source = folder.parent
    with pytest.raises(
        UserError, match=r"held_out must leave 5 users with .*, which leaves [0-4]$"
    ):
        fit_command(
            FitConfig(source / "log.csv", source / "items.csv", tmp_path / "w", held_out=0.01)
        )
    assert not (tmp_path / "w").exists() or not list((tmp_path / "w").iterdir())


def test_a_domain_survives_its_file(tmp_path):
    simulator = users_of(JUMPS)
    (tmp_path / "own.toml").write_text(to_toml(simulator.domain))
    assert load_domain(str(tmp_path / "own.toml")) == simulator.domain


def test_a_world_without_vectors_is_refused(fitted, tmp_path):
    folder, _ = fitted
    save_fitted(tmp_path, load_domain(str(folder)), load_fitted(folder))
    (tmp_path / "vectors.npz").unlink()
    with pytest.raises(ValueError, match=r"expected a file vectors\.npz"):
        gym.make("driftrec/DriftingInterest-v0", domain=tmp_path)


# --- fidelity


def test_users_of_the_same_law_cannot_be_told_apart_and_others_can():
    same, other = users_of(JUMPS), users_of(replace(JUMPS, weight=2.5))
    vectors, topic = same.world.attributes.astype(float), same.world.topic.astype(int)
    real = free_log(same, 150, 90, 0, RHYTHM)
    alike = compare(real, free_log(same, 150, 90, 1000, RHYTHM), vectors, topic, 10, resamples=60)
    assert alike.auc.low < alike.auc_null
    assert sum(d.off for d in alike.distances) <= 1
    apart = compare(real, free_log(other, 150, 90, 1000, RHYTHM), vectors, topic, 10, resamples=60)
    assert apart.auc.low > apart.auc_null
    assert next(d for d in apart.distances if d.name == "topic entropy").off


def test_shuffling_destroys_what_depends_on_order_alone():
    simulator = users_of(JUMPS)
    vectors, topic = simulator.world.attributes.astype(float), simulator.world.topic.astype(int)
    real = free_log(simulator, 150, 90, 0, RHYTHM)
    found = compare(real, real, vectors, topic, 10, resamples=40)
    by_name = {d.name: d for d in found.distances}
    assert by_name["topic entropy"].shuffled == 0
    assert by_name["interest over lags"].shuffled > 0.2


def test_a_stronger_taste_measures_stronger():
    weak, strong = (users_of(replace(JUMPS, weight=w)) for w in (0.3, 1.5))
    vectors = weak.world.attributes.astype(float)
    low, high = (measure_users(s, vectors, 10, RHYTHM, 25.0, num_users=150) for s in (weak, strong))
    assert low.stable > high.stable + 0.1


# --- real logs


def real_estimate(name, source, tmp_path):
    if not (DATA / source).is_dir():
        pytest.skip(f"needs {DATA / source}")
    items_file, log_file = convert(name, DATA / source, tmp_path)
    items = read_items(items_file)
    log = read_log(log_file, items.ids)
    vectors = text_vectors(items)
    sums = interest_sums(log, vectors)
    fit = fit_interest(sums, np.ones((1, len(sums.users))))
    return fit, visits(log, 9 * sums.window)


@pytest.mark.parametrize(
    ("name", "source", "half_life", "stable"),
    [
        ("online-retail", "online-retail", (32, 44), (0.48, 0.56)),
        ("lastfm", "lastfm-hetrec", (21, 46), (0.69, 0.79)),
    ],
)
def test_real_interest_lasts_as_long_as_was_measured_before(
    name, source, half_life, stable, tmp_path
):
    fit, seen = real_estimate(name, source, tmp_path)
    assert half_life[0] < fit.half_life[0] < half_life[1]
    assert stable[0] < fit.stable[0] < stable[1]
    assert seen.at_once < 0.5


def test_films_rated_in_one_sitting_are_recognised(tmp_path):
    _, seen = real_estimate("movielens", "ml-latest-small", tmp_path)
    assert seen.at_once > 0.5


def test_a_fitted_world_is_named_by_its_whole_path(fitted, monkeypatch):
    from driftrec.experiments.options import env_options

    folder, _ = fitted
    monkeypatch.chdir(folder.parent)
    assert env_options(more=[f"domain={folder.name}"])["domain"] == str(folder.resolve())
    assert env_options(more=["domain=music"])["domain"] == "music"


def test_a_surface_tells_which_knobs_show_what_a_log_shows():
    rng = np.random.default_rng(0)
    place = rng.uniform([0.0, -0.5], [2.0, 1.5], (60, 2))
    shown = np.column_stack([2 * place[:, 0] - place[:, 1], place[:, 1] + place[:, 1] ** 2])
    shown += rng.normal(0, 0.02, shown.shape)
    wide = np.full(2, np.inf)
    plane = Surface.guessed(np.array([1.0, 0.5]), np.ones(2), -wide, np.eye(2), ((1, 1),))
    surface, true = plane.fitted(place, shown), np.array([1.2, 0.8])
    wanted = np.array([2 * true[0] - true[1], true[1] + true[1] ** 2])
    np.testing.assert_allclose(surface(true[None])[0], wanted, atol=0.05)
    held = np.array([[0.0, 0.4], [0.0, 0.8], [0.0, 1.2]])  # the second knob is given
    found = surface.nearest(wanted, np.eye(2) * 0.01, held, 1, -wide, wide)
    np.testing.assert_allclose(found[:, 1], held[:, 1])
    far = np.abs(wanted - surface(found)).sum(1)
    assert far.argmin() == 1
    assert found[1, 0] == pytest.approx(1.2, abs=0.05)
    doubt = np.sqrt(np.diag(surface.doubt(true)))
    assert (doubt < 0.02).all()
    assert (doubt > 0.001).all()
