"""Public logs in the layout that ``fit`` reads: items.csv and log.parquet."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from ..errors import UserError
from ..files import write_atomic


def convert(name: str, source: Path, out: Path) -> tuple[Path, Path]:
    """Writes ``items.csv`` and ``log.parquet`` into ``out``.

    Args:
        name: one of ``LOGS``.
        source: folder with the set's own files.
        out: folder.

    Returns:
        Paths of the items and of the log.

    Raises:
        UserError: for an unknown name, or if the set's files are not in ``source``.
    """
    if name not in LOGS:
        raise UserError(f"name must be one of {', '.join(LOGS)}, got {name!r}")
    files, read = LOGS[name]
    for file in files:
        if not (source / file).is_file():
            raise UserError(f"source must hold {', '.join(files)}, got {source} without {file}")
    items, log = read(source)
    write_atomic(out / "items.csv", lambda path: items.to_csv(path, index=False))
    write_atomic(out / "log.parquet", lambda path: log.to_parquet(path, index=False))
    return out / "items.csv", out / "log.parquet"


def _online_retail(source: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Order lines with a customer, a price and no return; a product is its description."""
    lines = pd.read_parquet(source / "online_retail.parquet")
    bought = (lines.Quantity > 0) & (lines.UnitPrice > 0)
    lines = lines[bought & lines.CustomerID.notna() & lines.Description.notna()]
    product = lines.Description.str.strip()
    price = lines.UnitPrice.groupby(product).median()
    items = pd.DataFrame({"item_id": price.index, "title": price.index, "value": price.to_numpy()})
    return items, pd.DataFrame(
        {
            "user_id": lines.CustomerID.astype(int).astype(str),
            "item_id": product,
            "timestamp": lines.InvoiceDate,
        }
    )


def _lastfm(source: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Taggings: a listener, an artist, a month. Artists are described by their commonest tags."""
    rows = pd.read_csv(source / "user_taggedartists.dat", sep="\t")
    rows = rows[rows.year >= 2005]  # a few dates lie before the service began
    tags = pd.read_csv(source / "tags.dat", sep="\t", encoding="latin-1", index_col="tagID")
    artists = pd.read_csv(source / "artists.dat", sep="\t", index_col=0, usecols=[0, 1])
    tagged = rows.assign(tag=rows.tagID.map(tags.tagValue).str.replace(r"\W+", "_", regex=True))
    count = tagged.groupby(["artistID", "tag"]).size().sort_values(ascending=False, kind="stable")
    best = count.reset_index().groupby("artistID").head(20)
    shown = best.groupby("artistID").tag.apply(" ".join)
    names = artists.iloc[:, 0].reindex(shown.index)
    title = names.fillna("artist " + shown.index.astype(str).to_series(index=shown.index))
    items = pd.DataFrame({"item_id": shown.index, "title": title, "description": shown})
    day = pd.to_datetime(rows[["year", "month", "day"]])
    return items, pd.DataFrame(
        {
            "user_id": rows.userID.astype(str),
            "item_id": rows.artistID.astype(str),
            "timestamp": day,
        }
    )


def _movielens(source: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ratings: a viewer, a film, a second."""
    ratings = pd.read_csv(source / "ratings.csv")
    films = pd.read_csv(source / "movies.csv").set_index("movieId").loc[ratings.movieId.unique()]
    genres = films.genres.map(lambda text: re.sub(r"\(.*\)", "", text))
    items = pd.DataFrame(
        {
            "item_id": films.index,
            "title": films.title,
            "description": genres.str.replace("|", " "),
            "topics": genres,
        }
    )
    return items, pd.DataFrame(
        {
            "user_id": ratings.userId.astype(str),
            "item_id": ratings.movieId.astype(str),
            "timestamp": ratings.timestamp,
        }
    )


def _movielens_100k(source: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Ratings in RecBole's atomic files, as ``driftrec data movielens-100k`` gets them."""
    ratings, films = (
        pd.read_csv(source / f"ml-100k.{kind}", sep="\t", dtype=str, keep_default_na=False)
        for kind in ("inter", "item")
    )
    for table in (ratings, films):
        table.columns = table.columns.str.partition(":").get_level_values(0)
    films = films.set_index("item_id").loc[ratings.item_id.unique()]
    items = pd.DataFrame(
        {
            "item_id": films.index,
            "title": films.movie_title,
            "description": films["class"],
            "topics": films["class"].str.replace(" ", "|"),
        }
    )
    return items, pd.DataFrame(
        {
            "user_id": ratings.user_id,
            "item_id": ratings.item_id,
            "timestamp": ratings.timestamp.astype(float),
        }
    )


LOGS: dict[str, tuple[tuple[str, ...], Callable[[Path], tuple[pd.DataFrame, pd.DataFrame]]]] = {
    "online-retail": (("online_retail.parquet",), _online_retail),
    "lastfm": (("user_taggedartists.dat", "tags.dat", "artists.dat"), _lastfm),
    "movielens-100k": (("ml-100k.inter", "ml-100k.item"), _movielens_100k),
    "movielens": (("ratings.csv", "movies.csv"), _movielens),
}
