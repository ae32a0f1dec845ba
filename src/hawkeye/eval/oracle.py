"""What a perfect model would reach: the ceiling of beginning / middle / end / throughout, for whole arrays of spans.

The same rules as `hawkeye.choices.best_reachable` and `geometric_choice`, one row a query. Windows are shares of the video
(0 to 1), so that the windows which n turns can reach are one short list for all videos.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hawkeye.choices import Choice, sub_window
from hawkeye.eval.metrics import best_iou, pairwise_iou
from hawkeye.spans import Span

CHOICES = tuple(Choice)  # beginning, middle, end, throughout: a choice's number is its place here
THROUGHOUT = CHOICES.index(Choice.THROUGHOUT)
_STARTS = np.array([sub_window(choice, (0.0, 1.0)).start for choice in CHOICES])
_LENGTHS = np.array([sub_window(choice, (0.0, 1.0)).length for choice in CHOICES])


def choose(windows: np.ndarray, choices: np.ndarray) -> np.ndarray:
    """The parts of ``windows`` (N, 2) that ``choices`` (N,) name: (N, 2)."""
    length = windows[:, 1] - windows[:, 0]
    start = windows[:, 0] + _STARTS[choices] * length
    return np.stack([start, start + _LENGTHS[choices] * length], axis=1)


def windows_after(choices: np.ndarray, durations: np.ndarray) -> np.ndarray:
    """The window after each turn: choices (N, T), durations (N,) seconds -> (T, N, 2)."""
    window = whole(durations)
    after = []
    for turn in range(choices.shape[1]):
        window = choose(window, choices[:, turn])
        after.append(window)
    return np.stack(after) if after else np.empty((0, len(durations), 2))


def whole(durations: np.ndarray) -> np.ndarray:
    """The whole video as a window: (N,) seconds -> (N, 2)."""
    return np.stack([np.zeros_like(durations), durations], axis=1)


def reachable_windows(turns: int) -> list[np.ndarray]:
    """The windows that 0, 1, ... ``turns`` choices can reach and fewer can't, as shares of the video: (M, 2) each.

    1, 3, 7 and 15 windows for three turns: 26 in all.
    """
    level = {Span(0.0, 1.0)}
    seen = set(level)
    levels = [np.array([[0.0, 1.0]])]
    for _ in range(turns):
        level = {sub_window(choice, window) for window in level for choice in CHOICES} - seen
        seen |= level
        levels.append(np.array(sorted(level)))
    return levels


def best_spans(gold: np.ndarray, durations: np.ndarray, turns: int) -> list[np.ndarray]:
    """The reachable window of highest IoU with any true span, after 0, 1, ... ``turns`` turns: gold (N, G, 2) -> (N, 2) each."""
    best, score = whole(durations), np.full(len(durations), -1.0)
    found = []
    for level in reachable_windows(turns):
        for share in level:
            candidate = durations[:, None] * share
            iou = best_iou(candidate, gold)
            better = iou > score
            best[better], score[better] = candidate[better], iou[better]
        found.append(best.copy())
    return found


def geometric_choices(gold: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """The label by position of one true span a row: gold (N, 2), windows (N, 2) -> choice numbers (N,)."""
    middle = windows.mean(axis=1)
    short = gold[:, 1] - gold[:, 0] < (windows[:, 1] - windows[:, 0]) / 2
    return np.select(
        [gold[:, 1] <= middle, gold[:, 0] >= middle, short],
        [CHOICES.index(Choice.BEGINNING), CHOICES.index(Choice.END), CHOICES.index(Choice.MIDDLE)],
        THROUGHOUT,
    )


def rule_spans(gold: np.ndarray, durations: np.ndarray, turns: int) -> np.ndarray:
    """Where following the position rule for ``turns`` turns ends: gold (N, G, 2) -> (N, 2) seconds.

    With several true spans each is followed by itself, and the best end counts.
    """
    best, score = whole(durations), np.full(len(durations), -1.0)
    for target in range(gold.shape[1]):
        window, stopped = whole(durations), np.isnan(gold[:, target, 0])
        for _ in range(turns):
            chosen = np.where(stopped, THROUGHOUT, geometric_choices(gold[:, target], window))
            window, stopped = choose(window, chosen), stopped | (chosen == THROUGHOUT)
        iou = best_iou(window, gold)
        better = (iou > score) & ~np.isnan(gold[:, target, 0])
        best[better], score[better] = window[better], iou[better]
    return best


def right_choices(gold: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """The position rule's choice for the true span that overlaps the window most: (N, G, 2), (N, 2) -> (N,)."""
    target = pairwise_iou(windows, gold).argmax(axis=1)
    return geometric_choices(gold[np.arange(len(gold)), target], windows)


def as_numbers(choices: Sequence[Sequence[str | None]], turns: int) -> np.ndarray:
    """Names of choices, a list a row -> numbers (N, turns). Short lists, None and unknown names are "throughout"."""
    number = {str(choice): i for i, choice in enumerate(CHOICES)}
    table = np.full((len(choices), turns), THROUGHOUT)
    taken = np.arange(turns) < np.array([min(len(row), turns) for row in choices], dtype=int)[:, None]
    table[taken] = [number.get(name or "", THROUGHOUT) for row in choices for name in row[:turns]]
    return table
