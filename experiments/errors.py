"""The one exception that is meant for the user's eyes."""

from __future__ import annotations


class UserError(ValueError):
    """A mistake in what the user gave: shown as one line on stderr, with exit code 2."""
