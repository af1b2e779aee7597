"""What one observed event and ten recommendations cost; prints a table.

    python benchmarks/serving.py                   # 1,000 and 1,000,000 items, three minutes
    python benchmarks/serving.py --items 1000 --compiled    # a small catalogue only
    python benchmarks/serving.py --threads 60      # 8 threads for 60 seconds: is anything lost?

Times are CPU milliseconds of one thread for ``observe`` followed by ``recommend(k=10)``: median,
99th percentile and the worst of --events, of one user after 64 events. Recall is that of the ten
items found by nearest neighbours against the ten that exact search finds for the same requests. The
user model is the default one (two layers of 64 dimensions), trained for --steps user-steps; its
catalogue of 1,000 items is blown up to N by mixing the vectors of two items of a topic (half and
half, up to a quarter) and adding noise a tenth as long, so that directions keep the shape that
training gave them. ``benchmarks/lighter.py`` says what other user models cost.
"""

from __future__ import annotations

import argparse
import datetime
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import gymnasium as gym  # noqa: E402
import numpy as np  # noqa: E402
import torch  # noqa: E402

import driftrec.envs  # noqa: E402, F401
from driftrec.agents.learners import make_learner  # noqa: E402
from driftrec.agents.serving import Event, Items, Recommender, ServedModel  # noqa: E402
from driftrec.agents.serving.model import build, describe  # noqa: E402
from driftrec.agents.serving.retrieval import LARGE, Nearest, build_index, exact  # noqa: E402
from driftrec.agents.transfer import OF_ITEMS  # noqa: E402
from driftrec.envs.sb3 import BatchVecEnv  # noqa: E402

NOW = datetime.datetime(2026, 5, 6, 18, 0)
STEP = datetime.timedelta(minutes=5)
WARM = 64  # events before the clock starts


def trained(steps: int) -> ServedModel:
    """The default user model after a short practice and pretraining."""
    env = BatchVecEnv(gym.make_vec("driftrec/Video-v0", num_envs=64, diagnostics=False))
    learner = make_learner(
        "interest-attention", "ppo", env, seed=0, pretrain_steps=steps, practice_steps=steps
    )
    learner.learn(steps)
    world = env.get_attr("simulator")[0].world
    return ServedModel.of(
        learner.policy.network, learner.policy.slots, world.catalog, world.request_text
    )


def blown_up(model: ServedModel, count: int) -> ServedModel:
    """The same model with ``count`` items that resemble its own."""
    own, topic = len(model.items), model.items.topic
    if count == own:
        return model
    rng = np.random.default_rng(0)
    first = np.concatenate((np.arange(own), rng.integers(0, own, count - own)))
    members = [np.flatnonzero(topic == t) for t in range(int(topic.max()) + 1)]
    place = (rng.random(count) * [len(members[t]) for t in topic[first]]).astype(np.int64)
    starts = np.cumsum([0, *(len(m) for m in members[:-1])])
    second = np.concatenate(members)[starts[topic[first]] + place]
    mix = torch.as_tensor(np.where(np.arange(count) < own, 0, rng.random(count) * 0.5)).float()
    weights = dict(model.network.state_dict())
    for name in filter(weights.__contains__, OF_ITEMS):
        part = weights[name]
        share = mix.view(-1, *[1] * (part.dim() - 1))
        weights[name] = (1 - share) * part[first] + share * part[second]
    noise = torch.randn(weights["features"].shape, generator=torch.Generator().manual_seed(0))
    noise *= 0.1 / noise.shape[1] ** 0.5
    noise[:own] = 0
    features = weights["features"] + noise
    weights["features"] = features / features.norm(dim=1, keepdim=True)
    names = tuple(f"item-{n}" for n in range(count))
    items = replace(model.items, ids=names, title=names, topic=topic[first])
    return ServedModel(build(describe(model.network), weights), model.slots, items)


def stream(items: Items, user: str, count: int, seed: int = 0) -> list[Event]:
    """Events of a user who likes a topic for a while, then another."""
    rng = np.random.default_rng(seed)
    chosen = []
    for step in range(count):
        if step % 12 == 0:
            near = np.flatnonzero(items.topic == rng.integers(len(items.topic_names)))
        like = bool(rng.random() < 0.6)
        item = int(rng.choice(near)) if like else int(rng.integers(len(items)))
        when = NOW + step * STEP
        chosen.append(Event(user, items.ids[item], float(like) * 0.8, when))
    return chosen


def timed(recommender: Recommender, events: list[Event]) -> list[float]:
    """CPU milliseconds of each event."""
    spent = []
    for event in events:
        start = time.thread_time()
        recommender.observe(event)
        recommender.recommend(event.user, k=10, at=event.time + STEP)  # which the next one follows
        spent.append((time.thread_time() - start) * 1e3)
    return spent


def recall(recommender: Recommender, search: Nearest, events: list[Event]) -> float:
    """Share of the ten best items that nearest neighbours find, over requests of a user."""
    found = []
    for step, event in enumerate(events):
        recommender.observe(event)
        if step % 4 == 3:
            output = recommender.output(event.user, recommender.asked("", event.time))
            best, near = exact(output, 10)[0], search(output, 10)[0]
            found.append(len(np.intersect1d(best, near)) / 10)
    return float(np.mean(found))


def sizes(model: ServedModel, counts: list[int], events: int, compiled: bool) -> None:
    """The table of catalogue sizes."""
    print(f"{'items':>9} {'search':<8} {'p50 ms':>7} {'p99 ms':>7} {'worst':>7} {'recall@10':>10}")
    for count in counts:
        large = blown_up(model, count)
        searches: list[tuple[str, Any]] = [("exact", exact)]
        if count >= LARGE:
            start = time.process_time()
            index = build_index(large.network.embedding, large.network.bias)
            print(
                f"{count:>9,} index of {index.nlist:,} cells, {index.nprobe} read: "
                f"{time.process_time() - start:.0f} CPU-seconds to build",
                flush=True,
            )
            searches.append(("faiss", Nearest(index)))
        if compiled and count < LARGE:
            searches.insert(0, ("compiled", exact))
        for name, search in searches:
            many = events if name == "faiss" or count < LARGE else events // 10
            told = stream(large.items, "anna", WARM + many)
            recommender = Recommender(large, search, compiled=name == "compiled")
            spent = np.array(timed(recommender, told)[WARM:])
            share = (
                "1"
                if name != "faiss"
                else (
                    f"{recall(Recommender(large), search, stream(large.items, 'ben', 200, 1)):.3f}"
                )
            )
            low, high = np.percentile(spent, (50, 99))
            print(
                f"{count:>9,} {name:<8} {low:7.2f} {high:7.2f} {spent.max():7.2f} {share:>10}",
                flush=True,
            )


def hammer(model: ServedModel, seconds: float, threads: int = 8) -> None:
    """Threads that observe, recommend and forget at once; says what was lost or mixed up."""
    recommender, errors, counts = Recommender(model, states=12), [], [0] * threads
    kept: list[list[Event]] = [[] for _ in range(threads)]
    end = time.monotonic() + seconds

    def work(number: int) -> None:
        user, rng = f"user {number}", np.random.default_rng(number)
        source = stream(model.items, user, 200, number)
        try:
            while time.monotonic() < end:
                number_of = counts[number]
                event = replace(
                    source[number_of % 200], time=NOW + datetime.timedelta(seconds=number_of)
                )
                recommender.observe(event)
                kept[number].append(event)
                recommender.recommend(f"user {rng.integers(threads)}", k=10, at=NOW)
                if rng.random() < 0.05:
                    gone = kept[number].pop(int(rng.integers(len(kept[number]))))
                    recommender.forget(gone)
                if rng.random() < 0.005:
                    recommender.forget(user) if kept[number] else None
                    kept[number].clear()
                counts[number] += 1
        except Exception as error:
            errors.append(error)

    run_all(work, threads)
    lost = mixed = 0
    for number in range(threads):
        user, alone = f"user {number}", Recommender(model)
        lost += list(recommender.events(user)) != kept[number]
        alone.restore(kept[number])
        mixed += recommender.recommend(user, k=10, at=NOW) != alone.recommend(user, k=10, at=NOW)
    print(
        f"{threads} threads, {seconds:.0f} s, {sum(counts):,} rounds: {len(errors)} errors, "
        f"{lost} users with lost events, {mixed} with another's answer"
    )
    for error in errors:
        print(f"  {error!r}")


def run_all(work: Callable[[int], None], threads: int) -> None:
    """Runs ``work`` with each number in a thread of its own."""
    started = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


def main() -> None:
    """Prints the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, nargs="+", default=[1000, 1_000_000])
    parser.add_argument("--events", type=int, default=1000, help="that are timed")
    parser.add_argument("--steps", type=int, default=6_400, help="user-steps of training")
    parser.add_argument("--compiled", action="store_true", help="by torch.compile as well")
    parser.add_argument("--threads", type=float, metavar="SECONDS", help="8 threads instead")
    args = parser.parse_args()
    torch.set_num_threads(1)
    model = trained(args.steps)
    if args.threads:
        hammer(model, args.threads)
    else:
        sizes(model, args.items, args.events, args.compiled)


if __name__ == "__main__":
    main()
