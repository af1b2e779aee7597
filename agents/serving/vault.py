"""What is held on users, in one encrypted file: lines of JSON, the first of which is a header.

    {"format": "driftrec-users", "version": 1, "secret": ..., "opted_out": [...]}
    {"user": "anna", "events": [["video-017", 0.8, "2026-05-06T18:00:00", ""], ...]}

States are not written: they are functions of the events.
"""

from __future__ import annotations

import datetime
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from driftrec.simulators.sealed import seal, unseal

from .consent import OptOuts
from .event import Event

FORMAT, VERSION, PURPOSE = "driftrec-users", 1, "users"


def write_users(
    path: str | Path, key: bytes, histories: Mapping[str, Iterable[Event]], opted_out: OptOuts
) -> None:
    """Writes the events of users, and who opted out; the file appears whole or stays as it was."""
    head = {
        "format": FORMAT,
        "version": VERSION,
        "secret": opted_out.secret.hex(),
        "opted_out": sorted(digest.hex() for digest in opted_out.digests),
    }
    with seal(path, key, PURPOSE) as stream:
        stream.write(_line(head))
        for user, events in histories.items():
            rows = [
                (
                    e.item,
                    float(e.feedback),
                    None if e.time is None else e.time.isoformat(),
                    e.request,
                )
                for e in events
            ]
            stream.write(_line({"user": user, "events": rows}))


def read_users(path: str | Path, key: bytes) -> tuple[dict[str, list[Event]], OptOuts]:
    """What ``write_users`` wrote.

    Raises:
        ValueError: for another key, a file that was changed, or one of another kind.
    """
    with unseal(path, key, PURPOSE) as stream:
        lines = io.TextIOWrapper(stream, encoding="ascii")
        head = json.loads(lines.readline())
        if head.get("version") != VERSION:
            raise ValueError(
                f"{path} is of format {head.get('version')}, this driftrec reads {VERSION}"
            )
        digests = {bytes.fromhex(digest) for digest in head["opted_out"]}
        opted_out = OptOuts(bytes.fromhex(head["secret"]), digests)
        return dict(_histories(lines)), opted_out


def _line(content: Any) -> bytes:
    return json.dumps(content).encode("ascii") + b"\n"


def _histories(lines: Iterable[str]) -> Iterator[tuple[str, list[Event]]]:
    for line in lines:
        row = json.loads(line)
        user = row["user"]
        yield (
            user,
            [
                Event(user, item, feedback, time and datetime.datetime.fromisoformat(time), request)
                for item, feedback, time, request in row["events"]
            ],
        )
