"""What a user may ask for: all that is held on them, and to be forgotten."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from driftrec.simulators.privacy import read_key

from .errors import UserError

if TYPE_CHECKING:
    from driftrec.agents.serving import Recommender


def export_user(
    user: str,
    users: Path | None = None,
    model: Path | None = None,
    log: Path | None = None,
    key_file: Path | None = None,
) -> dict[str, Any]:
    """All that is held on a user in saved users (with their model), or in an imported log.

    Raises:
        UserError: unless one of the two is given.
        ValueError: for another key, or a file that was changed.
    """
    if (users is None) == (log is None) or (users is None) != (model is None):
        raise UserError("give either users and model, or log")
    if log is not None:
        from .importing import held_in_log

        return held_in_log(log, user, key_file)
    assert users is not None and model is not None
    return _load(users, model, _key(users, key_file)).held(user)


def forget_user(
    user: str, users: Path, model: Path, opt_out: bool = False, key_file: Path | None = None
) -> int:
    """Removes a user from saved users; returns how many events were forgotten.

    Raises:
        ValueError: for a user who has no events (unless they opt out), another key, or a file that
            was changed; then the file stays as it is.
    """
    key = _key(users, key_file)
    recommender = _load(users, model, key)
    count = recommender.opt_out(user) if opt_out else recommender.forget(user)
    recommender.save_users(users, key)
    return count


def _key(users: Path, key_file: Path | None) -> bytes:
    return read_key(key_file, outside=users.parent)


def _load(users: Path, model: Path, key: bytes) -> Recommender:
    from .recommend import load_recommender

    recommender = load_recommender(model)
    recommender.load_users(users, key)
    return recommender
