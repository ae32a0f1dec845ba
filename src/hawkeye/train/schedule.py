"""The learning rate over the steps: linear warm-up, then half a cosine, never below a floor. No optimizer here.

Source: reference ``utils/scheduler.py:36-66``. The floor cuts both parts off, it does not rescale them (quirk T17).
"""

from __future__ import annotations

import math


def multiplier(step: int, warmup_steps: float, total_steps: int, floor: float = 0.25) -> float:
    """What the peak learning rate is multiplied by at ``step``, counted from 0. Between ``floor`` and 1."""
    if step < warmup_steps:
        return max(floor, step / warmup_steps)
    progress = (step - warmup_steps) / max(1.0, total_steps - warmup_steps)
    return max(floor, 0.5 * (1.0 + math.cos(math.pi * progress)))
