"""A result as a matplotlib figure, for notebooks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from hawkeye.errors import HawkEyeError
from hawkeye.grounding.picture import CURVE, FOUND, OTHER, TURN_COLORS
from hawkeye.runtime import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hawkeye.grounding.result import GroundingResult


def plot_result(result: GroundingResult) -> Figure:
    """Windows of every turn from top to bottom, the curve if there is one, and the ranked spans at the bottom.

    Raises HawkEyeError if the result is a failure, MissingDependency without matplotlib.
    """
    if result.span is None or not result.duration:
        raise HawkEyeError(f"nothing to draw: {result}")
    require("matplotlib", "plot")
    from matplotlib.figure import Figure

    rows = len(result.turns) + bool(result.curve) + 1
    figure = Figure(figsize=(9, 0.9 + 0.45 * rows), layout="constrained")
    axes = figure.subplots()
    labels = []
    for number, turn in enumerate(result.turns):
        probability = math.exp(turn.log_probs[turn.options.index(turn.choice)])
        color = TURN_COLORS[min(number, len(TURN_COLORS) - 1)]
        axes.barh(len(labels), turn.window.length, left=turn.window.start, color=color)
        axes.plot(turn.frame_times, [len(labels)] * len(turn.frame_times), "|", color="black", alpha=0.5)
        labels.append(f"turn {number + 1}: {turn.choice} {probability:.0%}")
    if result.curve:
        times, values = zip(*result.curve, strict=True)
        low, high = min(values), max(values)
        heights = [len(labels) + 0.4 - 0.8 * (v - low) / ((high - low) or 1) for v in values]
        axes.plot(times, heights, color=CURVE)
        labels.append("score")
    for other in result.spans[1:]:
        axes.barh(len(labels), other.span.length, left=other.span.start, color=OTHER, alpha=0.6)
    axes.barh(len(labels), result.span.length, left=result.span.start, color=FOUND, height=0.5)
    labels.append(f"{result.span.start:.1f} - {result.span.end:.1f} s")
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlim(0, result.duration)
    axes.set_xlabel("seconds")
    axes.set_title(result.query if result.found else f"{result.query}  (probably not in this video)")
    return figure
