"""How papers count. The same predictions score differently by the comparison, the rounding and what failures count as.

Each convention is a row of numbers and flags; docs/evaluation.md explains them in one table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hawkeye.errors import ConfigError


@dataclass(frozen=True)
class Convention:
    name: str
    source: str
    strict: bool = False  # a hit needs IoU > threshold instead of >=
    decimals: int | None = None  # IoU is rounded to so many before anything else
    errors_count: bool = True  # an example that failed is a miss; else it is left out
    missing_count: bool = True  # an example without a prediction is a miss; else it is left out
    swap_reversed: bool = False  # a span that ends before it starts is turned round

    def hits(self, ious: np.ndarray, threshold: float) -> np.ndarray:
        return ious > threshold if self.strict else ious >= threshold

    def rounded(self, ious: np.ndarray) -> np.ndarray:
        return ious if self.decimals is None else ious.round(self.decimals)

    def ordered(self, spans: np.ndarray) -> np.ndarray:
        """Spans (..., 2), with the reversed ones turned round if the convention does so."""
        return np.sort(spans, axis=-1) if self.swap_reversed else spans


CONVENTIONS: dict[str, Convention] = {
    convention.name: convention
    for convention in (
        Convention("ours", "every annotated example counts; IoU >= threshold, as most of the field"),
        Convention(
            "hawkeye",
            "the reference's data_preparing/check_grounding_results.ipynb",
            strict=True,
            errors_count=False,
            missing_count=False,
        ),
        Convention(
            "lmms-eval",
            "lmms_eval/tasks/charades_sta/eval_tvg.py; TimeLens-Bench counts alike",
            missing_count=False,
            swap_reversed=True,
        ),
        Convention(
            "vtimellm", "vtimellm/eval/eval.py and metric.py", decimals=2, errors_count=False, missing_count=False
        ),
    )
}


def find_convention(name: str) -> Convention:
    """Raises ConfigError for an unknown name."""
    if name not in CONVENTIONS:
        raise ConfigError(f"--convention is {name!r}: expected one of {', '.join(CONVENTIONS)}")
    return CONVENTIONS[name]
