"""Seeds of the property tests. FAULT_SEED chooses another run, FAULT_RUNS how many times each property is tried."""

import os
import random

SEED = int(os.environ.get("FAULT_SEED", "20261123"))
RUNS = int(os.environ.get("FAULT_RUNS", "1500"))
GROUPS = 10


def seeds(group: int) -> list[int]:
    """The seeds of one of the groups that a property is tried in."""
    return [SEED * 1_000_003 + number for number in range(group, RUNS, GROUPS)]


def chance(seed: int) -> random.Random:
    """Randomness that the seed alone decides."""
    return random.Random(seed)
