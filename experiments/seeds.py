"""Which users belong to training, to validation and to the test: ranges that never meet.

``env.reset(seed=s)`` gives row i of a batch the user ``s + i``, so a range of seeds is a set of
users. What is given to ``driftrec evaluate --seed`` is used as it stands.
"""

from __future__ import annotations

TRAIN_FIRST = 1_000_000_000
VALIDATION_FIRST = 2_000_000_000
TEST_FIRST = 3_000_000_000
BLOCK = 1_000_000  # users between the starts of two ranges of one kind


def train_users(seed: int) -> int:
    """First user met in the training run with this seed."""
    return _start(TRAIN_FIRST, seed)


def validation_users(block: int = 0) -> int:
    """First user of a block for tuning and for choosing checkpoints; the same in every run."""
    return _start(VALIDATION_FIRST, block)


def test_users(block: int = 0) -> int:
    """First user of a block that nothing was trained, tuned or chosen on."""
    return _start(TEST_FIRST, block)


def _start(first: int, block: int) -> int:
    if not 0 <= block < 1000:
        raise ValueError(f"seed must be in [0, 1000), got {block}")
    return first + block * BLOCK
