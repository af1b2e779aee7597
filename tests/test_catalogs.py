import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from driftrec.simulators.readers import load_catalog
from driftrec.simulators.text import WordBank, domains, generate_catalog

BIG = ("video", "ecommerce", "news", "music")
SMALL = ("support", "social", "home")

ITEMS = """item_id,title,description,topics,value,quality
a,Blue kettle,"Holds two litres,
boils fast",kitchen,30,0.5
b,Red pan,,kitchen|camping,20,-0.5
c,Tent,For two,camping,100,0
"""
LOG = "user_id,item_id,timestamp,value\n" + "".join(
    f"{user},{item},{100 + k},{1 + k % 3}\n"
    for user, items in (("u", "aab"), ("v", "ccb"), ("w", "aba"), ("x", "cca"))
    for k, item in enumerate(items)
)


def folder_of(path: Path, **files: str) -> Path:
    for name, text in files.items():
        (path / f"{name}.csv").write_text(text, encoding="utf-8")
    return path


# --- built-in catalogues


def test_every_domain_has_words():
    assert set(domains()) == {*BIG, *SMALL}


@pytest.mark.parametrize("domain", BIG + SMALL)
def test_builtin_catalogue_is_large_and_its_titles_are_unique(domain):
    catalog = load_catalog(None, domain)
    big = domain in BIG
    assert len(catalog) >= (1000 if big else 200)
    assert catalog.num_topics >= (20 if big else 10)
    assert len(set(catalog.title)) == len(catalog)
    assert all("{" not in text for text in catalog.title + catalog.description)
    assert len(set(catalog.description)) > 0.97 * len(catalog)


@pytest.mark.parametrize("domain", BIG + SMALL)
def test_no_topic_is_better_than_another(domain):
    catalog = load_catalog(None, domain)
    counts = np.bincount(catalog.main_topic)
    assert counts.max() - counts.min() <= 1
    quality = np.bincount(catalog.main_topic, catalog.quality) / counts
    np.testing.assert_allclose(quality, 0, atol=1e-6)
    assert 0.25 < catalog.quality.std() < 0.35
    value = np.bincount(catalog.main_topic, catalog.value) / counts
    bank = WordBank.load(domain)
    np.testing.assert_allclose(value, [topic.value for topic in bank.topics], rtol=0.06)
    assert value.max() < 1.9 * value.min()
    successors = bank.successors
    assert (np.bincount(successors.ravel()) == 2).all()
    assert (successors != np.arange(len(successors))[:, None]).all()


def test_video_lasts_between_2_and_60_minutes():
    value = load_catalog(None, "video").value
    assert value.min() >= 2
    assert value.max() <= 60


@pytest.mark.parametrize("domain", BIG + SMALL)
def test_half_of_the_items_touch_a_successor_of_their_topic(domain):
    bank = WordBank.load(domain)
    catalog = generate_catalog(bank, 1000)
    main = catalog.topics.max(1)
    assert 0.4 < (main < 1).mean() < 0.6
    assert main.min() >= 0.69
    for row in np.flatnonzero(main < 1)[:50]:
        second = np.argsort(catalog.topics[row])[-2]
        assert second in bank.successors[catalog.main_topic[row]]
        assert bank.topic_names[second] in catalog.description[row]


@pytest.mark.parametrize("domain", BIG + SMALL)
def test_words_tell_the_topic(domain):
    catalog = generate_catalog(WordBank.load(domain), 1000)
    texts = zip(catalog.title, catalog.description, strict=True)
    words = [set(f"{title} {text}".lower().split()) for title, text in texts]
    column = {word: k for k, word in enumerate(sorted(set().union(*words)))}
    present = np.zeros((len(catalog), len(column)))
    for row, bag in enumerate(words):
        present[row, [column[word] for word in bag]] = 1
    topic = np.eye(catalog.num_topics)[catalog.main_topic]
    count = topic[::2].T @ present[::2]  # naive Bayes on every second item
    seen = np.where(count.any(0), np.log(count + 0.1), 0)
    found = (present[1::2] @ seen.T).argmax(1)
    assert (found == catalog.main_topic[1::2]).mean() > 0.87


@pytest.mark.parametrize("domain", BIG + SMALL)
def test_every_topic_can_be_asked_for(domain):
    bank = WordBank.load(domain)
    assert (np.bincount(bank.request_topic, minlength=len(bank.topics)) >= 2).all()
    assert len(set(bank.request_text)) == len(bank.requests)
    assert bank.browse


@pytest.mark.parametrize("domain", BIG + SMALL)
def test_no_title_fits_two_topics(domain):
    titles = [title for topic in WordBank.load(domain).topics for title, _ in topic.all_titles()]
    assert len(set(titles)) == len(titles)


def test_the_seed_decides_the_catalogue():
    bank = WordBank.load("video")
    first, again, other = (generate_catalog(bank, 200, seed) for seed in (1, 1, 2))
    assert first.title == again.title
    np.testing.assert_array_equal(first.topics, again.topics)
    assert first.title != other.title


def test_a_catalogue_outgrows_its_titles_without_repeating_one():
    catalog = generate_catalog(WordBank.load("home"), 20_000)
    assert len(set(catalog.title)) == 20_000


def test_unknown_domain_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"domain must be one of ecommerce, .*, got 'opera'"):
        load_catalog(None, "opera")


def test_size_below_one_is_refused():
    with pytest.raises(ValueError, match="num_items must be at least 1, got 0"):
        generate_catalog(WordBank.load("video"), 0)


def test_a_successor_that_is_no_topic_is_refused():
    row = dict(name="a", value=1, next=["a", "z"], titles=[], x=[], y=[], words=[], requests=[])
    with pytest.raises(ValueError, match="next of topic 'a' must be two topics of toy"):
        WordBank.parse("toy", {"topic": [row]})


# --- tables of one's own


def test_own_table_gives_items_in_its_order(tmp_path):
    catalog = load_catalog(folder_of(tmp_path, items=ITEMS))
    assert catalog.ids == ("a", "b", "c")
    assert catalog.topic_names == ("camping", "kitchen")
    np.testing.assert_allclose(catalog.topics, [[0, 1], [1 / 3, 2 / 3], [1, 0]], atol=1e-6)
    np.testing.assert_allclose(catalog.value, [30, 20, 100])
    np.testing.assert_allclose(catalog.quality, [0.5, -0.5, 0])
    assert catalog.affinity is None


def test_log_beside_the_table_is_used(tmp_path):
    catalog = load_catalog(
        folder_of(tmp_path, items=ITEMS, log=LOG) / "items.csv", latent_size=4, min_events=2
    )
    assert catalog.affinity.items.shape == (3, 4)
    assert catalog.affinity.users.shape == (4, 4)
    np.testing.assert_allclose(np.linalg.norm(catalog.affinity.items, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(catalog.affinity.users, axis=1), 1, rtol=1e-5)


def test_items_with_few_events_are_left_out(tmp_path):
    catalog = load_catalog(folder_of(tmp_path, items=ITEMS, log=LOG), min_events=4)
    assert catalog.ids == ("a", "c")
    with pytest.raises(ValueError, match="no item has at least min_events = 99 events"):
        load_catalog(tmp_path, min_events=99)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (ITEMS.replace("b,Red pan", "b,"), "line 4, column 'title': expected a text.*got ''"),
        (ITEMS.replace(",20,", ",cheap,"), "line 4, column 'value': expected a number.*'cheap'"),
        (ITEMS.replace(",20,", ",0,"), "line 4, column 'value': expected a number > 0, got '0'"),
        (ITEMS.replace("-0.5", "nan"), "line 4, column 'quality': expected a number, got 'nan'"),
        (ITEMS.replace("|camping", "|"), "line 4, column 'topics': expected distinct names"),
        (ITEMS.replace(",20,-0.5", ""), r"line 4: expected 6 cells \(item_id, .*\), got 4"),
        (ITEMS.replace("c,Tent", "a,Tent"), "line 5, column 'item_id': expected an id that no"),
        (ITEMS.replace("topics", "topic"), "line 1: expected a column 'topics', got only"),
        (ITEMS.splitlines()[0] + "\n", "expected rows under item_id,title"),
        ("", "expected rows under item_id,title"),
        (ITEMS + 'd,"Open,,,\n', "line 6: expected CSV"),
    ],
)
def test_bad_item_is_named_by_file_line_and_column(tmp_path, bad, message):
    with pytest.raises(ValueError, match=rf"items\.csv.*{message}"):
        load_catalog(folder_of(tmp_path, items=bad))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (LOG.replace("u,b,102", "u,z,102"), "line 4, column 'item_id': expected an item of"),
        (LOG.replace("u,b,102", "u,b,May"), "line 4, column 'timestamp': expected a number"),
        (LOG.replace("u,b,102,3", "u,b,102,-3"), "line 4, column 'value': expected a number >= 0"),
        (LOG.replace("u,b,102", ",b,102"), "line 4, column 'user_id': expected a text"),
        (LOG.replace("u,b,102,3", "u,b,102"), "line 4: expected 4 cells"),
    ],
)
def test_bad_event_is_named_by_file_line_and_column(tmp_path, bad, message):
    with pytest.raises(ValueError, match=rf"log\.csv, {message}"):
        load_catalog(folder_of(tmp_path, items=ITEMS, log=bad), min_events=1)


def test_text_in_another_encoding_is_named_by_line(tmp_path):
    (tmp_path / "items.csv").write_bytes(ITEMS.replace("Tent", "Café").encode("latin-1"))
    with pytest.raises(ValueError, match=r"items\.csv, line 5: expected UTF-8"):
        load_catalog(tmp_path)


def test_path_that_holds_no_catalogue_is_refused_with_the_layouts(tmp_path):
    with pytest.raises(ValueError, match=r"catalog must be a folder with items\.csv.*none of"):
        load_catalog(tmp_path)
    with pytest.raises(ValueError, match="absent is none of these"):
        load_catalog(tmp_path / "absent")


# --- films

MOVIES = """movieId,title,genres
1,"Long Road, The (1999)",Drama|Western
2,Laughs (2001),Comedy
3,Tears (2003),Drama
4,Nameless,(no genres listed)
"""
RATINGS = "userId,movieId,rating,timestamp\n" + "".join(
    f"{user},{film},{rating},0\n"
    for user, film, rating in [
        (1, 1, 5), (1, 3, 4), (2, 2, 5), (2, 4, 1), (3, 1, 4), (3, 3, 5), (4, 2, 3), (4, 4, 2),
    ]
)  # fmt: skip
TAGS = "userId,movieId,tag,timestamp\n1,1,Horses,0\n2,1,horses,0\n3,1,dusty,0\n"


def test_films_keep_their_year_and_are_described_by_genres_and_tags(tmp_path):
    folder_of(tmp_path, movies=MOVIES, ratings=RATINGS, tags=TAGS)
    catalog = load_catalog(tmp_path, min_events=2)
    assert catalog.title[0] == "Long Road, The (1999)"
    assert catalog.description[0] == "Film: drama and western. Viewers' tags: horses, dusty."
    assert catalog.topic_names == ("Comedy", "Drama", "Western")
    assert catalog.topic_names[catalog.main_topic[0]] == "Western"  # the rarer genre says more
    np.testing.assert_allclose(catalog.topics[3], catalog.topics[:3].mean(0), atol=1e-6)


def test_rating_of_an_unknown_film_is_named_by_line(tmp_path):
    folder_of(tmp_path, movies=MOVIES, ratings=RATINGS + "1,77,5,0\n")
    with pytest.raises(ValueError, match=r"ratings\.csv, line 10, column 'movieId'.*got '77'"):
        load_catalog(tmp_path)


def test_films_without_ratings_file_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"ratings\.csv: expected a file"):
        load_catalog(folder_of(tmp_path, movies=MOVIES))


def test_atomic_files_are_read_by_folder_and_by_prefix(tmp_path):
    (tmp_path / "toy.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        '1\tThe "Best"\t1990\tDrama War\n2\tFun\t\tComedy\n',
        encoding="utf-8",
    )
    (tmp_path / "toy.inter").write_text(
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "u\t1\t5\t0\nv\t2\t4\t0\nu\t1\t3\t0\nv\t2\t3\t0\n",
        encoding="utf-8",
    )
    catalog = load_catalog(tmp_path / "toy", min_events=2)
    assert catalog.title == ('The "Best" (1990)', "Fun")
    assert catalog.topic_names == ("Comedy", "Drama", "War")
    assert load_catalog(tmp_path, min_events=2).ids == catalog.ids
    (tmp_path / "other.item").touch()
    with pytest.raises(ValueError, match=r"expected one \.item file, got other, toy"):
        load_catalog(tmp_path)


def test_reading_needs_no_pandas():
    code = "import driftrec.simulators.readers, sys; assert 'pandas' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd="/")
