"""The language model: loading, reading, and what the interest does to attention and ranking."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    AutoModel,
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaModel,
    MPNetConfig,
    MPNetModel,
    PreTrainedTokenizerFast,
)

from driftrec.agents.attention import InterestAdjuster
from driftrec.agents.language import (
    Bridge,
    Event,
    TextCatalog,
    TextConfig,
    TextEncoder,
    TextRecommender,
    attention_maps,
    dynamic_attention,
    dynamic_recommend,
    fine_tuning,
    item_text,
    load_backbone,
    load_books,
    user_interest,
)
from driftrec.agents.language.embeddings import VectorCache
from driftrec.agents.language.pinned import PINNED, Pinned, pinned_folder, write_folder

X, Y = ["whale", "bird", "sea", "song"], ["paint", "brush", "colour", "canvas"]
SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
ROOT = Path(__file__).parent.parent
needs_minilm = pytest.mark.skipif(
    find_spec(PINNED["minilm"].module) is None, reason="MiniLM is not installed: make models"
)
needs_smollm2 = pytest.mark.skipif(
    find_spec(PINNED["smollm2"].module) is None, reason="SmolLM2 is not installed: make models"
)


@pytest.fixture(autouse=True)
def no_hub(monkeypatch):
    """Any attempt to reach a hub fails."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)


def tokenizer() -> PreTrainedTokenizerFast:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", ".", "buy", "books", *X, *Y]
    model = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    return PreTrainedTokenizerFast(
        tokenizer_object=model,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
    )


@pytest.fixture(scope="module", params=["bert", "llama"])
def tiny(request, tmp_path_factory):
    """Folder of a random model that knows fifteen words."""
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    # Wide enough that attention tells tokens apart, as training would make it.
    config = dict(SHAPE, intermediate_size=64, vocab_size=15, initializer_range=0.3)
    made = {
        "bert": lambda: BertModel(BertConfig(**config)),
        "llama": lambda: LlamaModel(LlamaConfig(**config, bos_token_id=2, eos_token_id=3)),
    }
    made[request.param]().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def minilm() -> TextEncoder:
    return TextEncoder(load_backbone("minilm"))


@pytest.fixture(scope="module")
def books() -> TextCatalog:
    return TextCatalog.books()


# --- backbones ------------------------------------------------------------------------------------


def plain_states(folder, texts):
    model = AutoModel.from_pretrained(folder, attn_implementation="sdpa").eval()
    words = load_backbone(folder).tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        out = model(input_ids=words["input_ids"], attention_mask=words["attention_mask"])
    return words, out.last_hidden_state


def check_zero_is_plain(folder, texts):
    """An adjuster that is fresh, and one that is calibrated but told of no interest."""
    backbone = load_backbone(folder)
    words, plain = plain_states(folder if Path(folder).exists() else pinned_folder(folder), texts)
    fresh = InterestAdjuster(backbone.model.config, 8, 0 if backbone.rotary else 2, backbone.rotary)
    known = TextRecommender(TextEncoder(backbone), [*texts, "buy", "bird", "song"])
    none = known.interest([[]] * len(texts))
    given = {"input_ids": words["input_ids"], "attention_mask": words["attention_mask"]}
    with torch.no_grad():
        for adjust in (fresh(torch.randn(len(texts), 1, 8)), known.adjustment(none)):
            adjusted = backbone.model(**given, interest=adjust).last_hidden_state
            assert adjust.calls == backbone.shape[0]
            torch.testing.assert_close(adjusted, plain, atol=1e-5, rtol=0)


def test_without_adjustment_a_model_is_what_it_was(tiny):
    check_zero_is_plain(tiny, ["whale song", "paint brush colour"])


@needs_minilm
def test_without_adjustment_minilm_is_what_it_was():
    check_zero_is_plain("minilm", ["The song of the whales", "A book"])


@needs_smollm2
@pytest.mark.slow
def test_without_adjustment_smollm2_is_what_it_was():
    check_zero_is_plain("smollm2", ["The song of the whales", "鲸鱼之歌"])


def test_a_frozen_model_is_loaded_once_and_has_nothing_to_train(tiny):
    backbone = load_backbone(tiny)
    assert load_backbone(tiny) is backbone
    assert not any(p.requires_grad for p in backbone.model.parameters())
    with pytest.raises(ValueError, match="parameters must hold one that is trained"):
        fine_tuning(backbone.model.parameters(), 10)


def test_fine_tuning_warms_up_to_its_rate(tiny):
    backbone = load_backbone(tiny, finetune=True)
    assert backbone is not load_backbone(tiny, finetune=True)
    optimizer, schedule = fine_tuning(backbone.model.parameters(), steps=100)
    rates = []
    for _ in range(20):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates[0] == 0
    assert rates[5] == pytest.approx(0.5e-5)
    assert rates[10:] == [pytest.approx(1e-5)] * 10


@pytest.mark.skipif(find_spec("peft") is None, reason="peft is not installed: make models")
def test_lora_trains_adapters_alone_and_starts_from_the_plain_model(tiny):
    backbone = load_backbone(tiny, lora=2)
    trained = {n for n, p in backbone.model.named_parameters() if p.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)
    words, plain = plain_states(tiny, ["whale song"])
    adjuster = InterestAdjuster(backbone.model.config, 8, 0, backbone.rotary)
    adjust = adjuster(torch.ones(1, 1, 8))
    out = backbone.model(input_ids=words["input_ids"], interest=adjust).last_hidden_state
    torch.testing.assert_close(out, plain, atol=1e-5, rtol=0)
    out.square().sum().backward()
    assert adjuster.gain.weight.grad.abs().sum() > 0


def test_a_model_that_is_not_there_is_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"model must be one of minilm, smollm2, .*'no/such'"):
        load_backbone("no/such")
    with pytest.raises(ValueError, match="lora must be at least 0"):
        load_backbone("minilm", lora=2, finetune=True)
    absent = Pinned("no-such-model==1.0", "no_such_model", "model.safetensors", "0" * 64)
    monkeypatch.setitem(PINNED, "minilm", absent)
    with pytest.raises(ValueError, match=r"needs the package no-such-model==1.0.*make models"):
        load_backbone("minilm", cache=tmp_path)


def test_a_package_that_carries_something_else_is_refused(tmp_path, monkeypatch):
    (tmp_path / "fake_model").mkdir()
    (tmp_path / "fake_model" / "__init__.py").touch()
    (tmp_path / "fake_model" / "model.safetensors").write_bytes(b"other")
    monkeypatch.syspath_prepend(tmp_path)
    fake = Pinned("fake-model==1.0", "fake_model", "model.safetensors", "0" * 64)
    with pytest.raises(ValueError, match=r"model.safetensors must have sha256 0{64}, got d9298a10"):
        fake.file()


def test_a_family_that_swallows_the_interest_is_refused(tmp_path):
    MPNetModel(MPNetConfig(**SHAPE, intermediate_size=64, vocab_size=15)).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"got 'mpnet'.* reached 0 of 2 layers"):
        load_backbone(str(tmp_path))


def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    def half(folder):
        (folder / "a").touch()
        raise RuntimeError("the disk is full")

    with pytest.raises(RuntimeError):
        write_folder(tmp_path / "model", half)
    assert list(tmp_path.iterdir()) == []
    write_folder(tmp_path / "model", lambda folder: (folder / "first").touch())
    write_folder(tmp_path / "model", lambda folder: (folder / "second").touch())
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["first"]


def test_the_packages_that_are_installed_are_those_that_are_loaded():
    lines = (ROOT / "models.txt").read_text(encoding="utf-8").splitlines()
    listed = [line for line in lines if not line.startswith("#")]
    assert listed == [pinned.package for pinned in PINNED.values()]


# --- texts to vectors -----------------------------------------------------------------------------


def test_a_vector_depends_on_its_text_alone(tiny):
    encoder = TextEncoder(load_backbone(tiny), batch_size=2)
    texts = ["whale song sea bird", "paint", "brush colour canvas", "whale"]
    together = encoder(texts)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    for text, vector in zip(texts, together, strict=True):
        np.testing.assert_allclose(encoder([text])[0], vector, atol=1e-5)


def test_the_cache_gives_what_was_computed_and_survives_damage(tiny, tmp_path, monkeypatch):
    backbone = load_backbone(tiny)
    first = TextEncoder(backbone, cache=tmp_path)
    vectors = first(["whale", "bird"])
    other = TextEncoder(backbone, cache=tmp_path)
    monkeypatch.setattr(other, "_encode", None)  # everything is known
    np.testing.assert_array_equal(other(["bird", "whale", "bird"]), vectors[[1, 0, 1]])
    (file,) = tmp_path.rglob("*.npz")
    file.write_bytes(file.read_bytes()[:100])
    again = TextEncoder(backbone, cache=tmp_path)(["bird"])
    np.testing.assert_allclose(again, vectors[1:], atol=1e-6)
    assert not list(tmp_path.rglob("*.part"))


def test_vectors_come_where_no_cache_can_be_written(tiny, tmp_path):
    (tmp_path / "file").touch()
    encoder = TextEncoder(load_backbone(tiny), cache=tmp_path / "file")
    vectors = encoder(["whale", "bird"])
    np.testing.assert_array_equal(encoder(["bird"]), vectors[1:])


def test_writers_at_once_leave_a_cache_that_is_whole(tmp_path):
    keys = [bytes([i]) * 32 for i in range(20)]

    def write(first):
        cache = VectorCache(tmp_path)
        for start in range(first, 16):
            cache.write({k: np.full(3, k[0], "f4") for k in keys[start : start + 5]})
            assert len(VectorCache(tmp_path).read(set(keys[start : start + 5]))) == 5

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, (0, 0, 5, 10)))
    known = VectorCache(tmp_path).read(set(keys))
    assert set(known) == set(keys)
    assert all((vector == key[0]).all() for key, vector in known.items())
    assert not list(tmp_path.glob(".*"))


def test_a_model_that_was_trained_on_has_a_cache_of_its_own(tiny, tmp_path):
    backbone = load_backbone(tiny, finetune=True)
    before = TextEncoder(backbone, cache=tmp_path)(["whale song"])
    with torch.no_grad():
        backbone.embedding.weight.mul_(-1)
    after = TextEncoder(backbone, cache=tmp_path)(["whale song"])
    assert np.abs(before - after).max() > 1e-3


def test_an_items_text_leaves_out_what_is_empty():
    assert item_text("Whales.", "", ["sea", "song"]) == "Whales. sea, song"
    assert item_text("Whales", "On the sea.") == "Whales. On the sea"


# --- the interest moves attention and ranking -----------------------------------------------------


@pytest.fixture
def small(tiny) -> TextRecommender:
    return TextRecommender(TextEncoder(load_backbone(tiny)), [*X, *Y], config=TextConfig(rank=4))


def test_only_the_users_own_attention_moves(small):
    both = [[Event("whale"), Event("paint", -1.0)]] * 2
    interest = small.interest([both[0], []])
    reading = small.read(both, ["buy books"] * 2)
    plain, adjusted = small.states(reading, None), small.states(reading, interest)
    assert np.abs(adjusted[0] - plain[0]).max() > 1e-3
    np.testing.assert_allclose(adjusted[1], plain[1], atol=1e-6)


def test_rows_do_not_depend_on_the_batch(small):
    histories = [[Event("whale")], [Event(t) for t in Y], []]
    requests = ["buy books", "", "song"]
    together = small.scores(histories, requests)
    for i in range(3):
        alone = small.scores(histories[i : i + 1], requests[i : i + 1])
        np.testing.assert_allclose(together[i], alone[0], atol=1e-5)


def test_the_maps_are_what_the_model_attends_by(small):
    history = [Event("whale"), Event("paint", -1.0)]
    interest = small.interest([history])
    maps = attention_maps(small, small.read([history], ["buy books"]), interest)
    assert len(maps) == 2
    for layer in maps:
        np.testing.assert_allclose(layer.before.sum(-1), 1, atol=1e-5)
        np.testing.assert_allclose(layer.after.sum(-1), 1, atol=1e-5)
    assert np.abs(maps[-1].after - maps[-1].before).max() > 1e-3
    if small.reader.backbone.causal:
        assert np.triu(maps[0].after, 1).max() == 0
    still = attention_maps(small, small.read([history], [""]), torch.zeros_like(interest))
    np.testing.assert_array_equal(still[-1].after, still[-1].before)


def test_what_the_model_cannot_read_needs_a_bridge(small):
    with pytest.raises(ValueError, match=r"text must be in the vocabulary of .*'鲸鱼'"):
        small.scores([[Event("鲸鱼")]], [""])
    pairs = [("鲸鱼", "whale"), ("鸟", "bird"), ("画笔", "brush"), ("颜色", "colour")]
    encoder = small.reader.encoder
    bridged = TextRecommender(
        encoder, [*X, *Y], bridge=Bridge.fit(encoder, pairs), config=TextConfig(rank=4)
    )
    reading = bridged.read([[Event("鲸鱼")]], ["buy books"])
    assert reading.tokens[0][1:3] == ["鲸鱼", "buy"]
    # A pair that the bridge was fitted on leads to its translation.
    vector = bridged.vectors(["鲸鱼"])[0]
    assert (bridged.items @ vector).argmax() == 0


def cases(titles, topic, number=60, seed=0):
    """Users who met three items of one topic and three of another, in mixed order."""
    rng = np.random.default_rng(seed)
    for _ in range(number):
        pair = rng.choice(topic.max() + 1, 2, replace=False)
        rows = [rng.choice(np.flatnonzero(topic == c), 3, replace=False) for c in pair]
        yield pair, rows, rng.permutation(np.concatenate(rows))


def mean_ranks(scores, topic, pair, met):
    """Mean rank of the unmet items of each of two topics, 0 the best."""
    order = np.argsort(-np.where(np.isin(np.arange(len(scores)), met), -np.inf, scores))
    rank = np.argsort(order)
    unmet = ~np.isin(np.arange(len(scores)), met)
    return [rank[(topic == c) & unmet].mean() for c in pair]


def topics_of_books():
    names = [book.topic for book in load_books().books]
    return np.unique(names, return_inverse=True)[1]


@needs_minilm
def test_attention_alone_lifts_the_topic_that_the_user_liked(minilm):
    """Both users met the same six books, so the plain model makes the same of them.

    No interest is read out and nothing is trained: what differs is the attention.
    """
    titles = [book.english for book in load_books().books]
    topic = topics_of_books()
    config = TextConfig(interest=0, request=0)
    recommender = TextRecommender(minilm, titles, config=config)
    told = list(cases(titles, topic))
    likes = [
        [[Event(titles[j], 1.0 if j in rows[who] else -1.0) for j in met] for _, rows, met in told]
        for who in (0, 1)
    ]
    requests = ["books to buy"] * len(told)
    plain = recommender.scores(likes[0], requests, torch.zeros(len(told), minilm.width))
    one, two = (recommender.scores(history, requests) for history in likes)
    rose = stayed = above = 0
    for i, (pair, _, met) in enumerate(told):
        ranks = [mean_ranks(s[i], topic, pair, met) for s in (plain, one, two)]
        rose += ranks[1][0] < ranks[0][0]
        stayed += ranks[2][0] >= ranks[0][0]
        above += ranks[1][0] < ranks[2][0]
    assert rose >= 42  # 48 were measured
    assert stayed >= 54
    assert above >= 54  # 59 were measured


@needs_minilm
def test_chinese_titles_never_seen_lie_near_their_topic(minilm):
    """Each fifth of the titles is read by a bridge that was fitted without it."""
    books = load_books()
    topic, fold = topics_of_books(), np.arange(len(books.books)) % 5
    english = minilm([book.english for book in books.books])
    read = np.empty_like(english)
    for f in range(5):
        pairs = [(b.title, b.english) for b, k in zip(books.books, fold, strict=True) if k != f]
        bridge = Bridge.fit(minilm, [*pairs, *books.dictionary])
        held_out = np.flatnonzero(fold == f)
        read[held_out] = bridge.vectors([books.books[i].title for i in held_out])
    centre = english.mean(0)
    read, english = read - centre, english - centre
    read /= np.linalg.norm(read, axis=1, keepdims=True)
    english /= np.linalg.norm(english, axis=1, keepdims=True)
    cosine, related = read @ english.T, topic[:, None] == topic
    assert cosine[related].mean() > cosine[~related].mean() + 0.2  # .23 and -.01
    above = np.searchsorted(np.sort(cosine[~related]), cosine[related]).mean()
    assert above / (~related).sum() > 0.9  # .918
    assert (topic[cosine.argmax(1)] == topic).mean() > 0.8  # .89


@needs_minilm
def test_chinese_titles_in_words_of_their_own_lie_nearer_their_topic_too(minilm):
    """Titles written after the dictionary: what is learnt carries over, by a smaller margin."""
    books = load_books()
    english = minilm([book.english for book in books.books])
    centre = english.mean(0)
    read = Bridge.fit(minilm, books.pairs).vectors([title for title, _ in books.unseen])
    cosine = np.corrcoef(read - centre, english - centre)[: len(read), len(read) :]
    named = np.array([book.topic for book in books.books])
    related = np.array([topic for _, topic in books.unseen])[:, None] == named
    above = np.searchsorted(np.sort(cosine[~related]), cosine[related]).mean()
    assert above / (~related).sum() > 0.74  # .79


# --- the three functions on plain data ------------------------------------------------------------

READER = {
    "浏览历史": ["素描基础教程", "城市里的鸟类"],
    "阅读历史": ["深海生物图鉴", "候鸟的旅程"],
    "购买历史": ["鲸鱼之歌"],
}


@needs_minilm
def test_the_worked_case_recommends_more_of_what_the_reader_bought_and_read(books):
    names = [book.title for book in load_books().books]
    topic = [book.topic for book in load_books().books]
    answer = dynamic_recommend(READER, "购买书籍", top_k=8, catalog=books)
    assert [line.rank for line in answer] == list(range(1, 9))
    assert all(names[line.item] == line.title for line in answer)
    met = {title for history in READER.values() for title in history}
    assert met.isdisjoint(line.title for line in answer)
    assert [topic[line.item] for line in answer[:5]] == ["动物"] * 5  # of 6 unmet, in 155
    nothing = dynamic_recommend([], "购买书籍", top_k=8, catalog=books)
    assert sum(topic[line.item] == "动物" for line in nothing) <= 1


def test_a_request_weighs_by_how_well_it_fits():
    """What is a little nearer by chance counts for less than in proportion."""
    config = TextConfig(text=0, interest=0, request=1, focus=3)
    zeros, near = np.zeros((1, 3)), np.array([[0.5, 0.2, -0.2]])
    np.testing.assert_allclose(
        config.weigh(zeros, zeros, near), [[0.125, 0.008, -0.008]], rtol=1e-6
    )
    linear = TextConfig(text=1, interest=2, request=3, focus=1)
    np.testing.assert_allclose(linear.weigh(near, near, near), 6 * near, rtol=1e-6)
    with pytest.raises(ValueError, match=r"focus must be at least 1, got 0\.5"):
        TextConfig(focus=0.5)


@needs_minilm
def test_a_request_for_something_else_is_heard(books):
    topic = [book.topic for book in load_books().books]
    answer = dynamic_recommend(READER, "我想学做饭", top_k=2, catalog=books)
    assert [topic[line.item] for line in answer] == ["烹饪", "烹饪"]


@needs_minilm
def test_attention_turns_to_what_was_bought_and_read(books):
    user = user_interest(READER, catalog=books)
    assert user.vector.shape == (384,)
    maps = dynamic_attention(user, "购买书籍", catalog=books)
    assert [layer.layer for layer in maps] == list(range(6))
    assert maps[0].tokens[1:-1] == (*(event.text for event in user.events), "购买书籍")
    gained = maps[-1].on_texts() - maps[-1].on_texts(after=False)
    assert gained[1:5].min() > gained[0]  # wildlife, against the course in drawing
    assert gained[1:5].sum() > 0.05


@needs_minilm
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: dynamic_recommend({"x": []}, "", catalog=c), "must have histories of 浏览历史"),
        (lambda c: dynamic_recommend("abc", "", catalog=c), "must be a sequence of titles"),
        (lambda c: dynamic_recommend([3], "", catalog=c), "text must be a string"),
        (lambda c: dynamic_recommend([("a", np.nan)], "", catalog=c), "feedback must be a number"),
        (lambda c: dynamic_recommend([("a", "b")], "", catalog=c), "feedback must be a number"),
        (lambda c: dynamic_recommend([{"name": "a"}], "", catalog=c), "must have title"),
        (lambda c: dynamic_recommend([], "", 0, catalog=c), "top_k must be from 1 to 160, got 0"),
        (lambda c: dynamic_recommend([], "", 2.5, catalog=c), "top_k must be a whole number"),
        (lambda c: dynamic_recommend([], "", 10**6000, catalog=c), "top_k must be from 1 to 160"),
        (lambda c: dynamic_recommend([], 3, catalog=c), "request must be a string, got 3"),
        (lambda c: dynamic_recommend([], "\ud800", catalog=c), "request must be Unicode"),
        (lambda c: dynamic_recommend(["a\udfff"], "", catalog=c), "text must be Unicode"),
        (lambda c: dynamic_recommend([], "", catalog=c.titles), "catalog must be a TextCatalog"),
    ],
)
def test_data_of_another_form_are_refused(books, call, message):
    with pytest.raises(ValueError, match=message):
        call(books)


@needs_minilm
def test_ten_megabytes_of_text_are_read_no_further_than_needed(books):
    long = "鲸" * 10_000_000
    assert len(dynamic_recommend([long], long, 3, catalog=books)) == 3


@needs_minilm
def test_a_catalogue_of_ones_own_needs_no_training():
    items = ["Apple pie", "Pasta", {"title": "Trigonometry", "categories": ["school"]}, "Algebra"]
    own = TextCatalog.of(items)
    (best, _) = dynamic_recommend(["Calculus"], "", 2, catalog=own)
    assert best.title in ("Trigonometry", "Algebra")


@pytest.mark.parametrize(
    ("items", "message"),
    [
        ([{"name": "x"}, "y"], r"an item must have a title, got \{'name'"),
        ([None, "y"], "an item must have a title, got None"),
        ([{"title": "x", "text": "y"}, "y"], "must have title, translation, description, cat"),
        ([{"title": "x", "description": 3}, "y"], "description must be a string, got 3"),
        ([{"title": "x", "categories": "sea"}, "y"], "categories must be a sequence of texts"),
        ([{"title": "x", "categories": [3]}, "y"], "categories must be a string with something"),
        (["x\ud800", "y"], "title must be Unicode"),
        ("whales", "items must be a Catalog, titles or mappings, got 'whales'"),
    ],
)
def test_items_of_another_form_are_refused(tiny, items, message):
    with pytest.raises(ValueError, match=message):
        TextCatalog.of(items, tiny)


def test_the_books_are_enough_and_all_different():
    books = load_books()
    assert len(books.books) >= 120
    assert len({book.topic for book in books.books}) >= 12
    assert len({book.title for book in books.books}) == len(books.books)
    assert len({book.english for book in books.books}) == len(books.books)
