"""How the sentences of each data set are cleaned, and how a caption is normalised. Plain text in, plain text out."""

from __future__ import annotations

import re


def without_stops(sentence: str) -> str:
    """Every full stop goes, also inside (quirk 48): how the reference reads test queries and all of Charades-STA."""
    return sentence.replace(".", "").strip()


def without_last_stop(sentence: str) -> str:
    """One full stop at the end goes: training sentences of ActivityNet-Captions and InternVid-G."""
    return sentence.strip().removesuffix(".").strip()


def as_title(caption: str) -> str:
    """An InternVid-G caption as a sentence to ask about: without its last stop, its first letter a capital."""
    text = without_last_stop(caption)
    return text[:1].upper() + text[1:]


def normalise_caption(text: str, max_words: int | None = None) -> str:
    """Lower case, punctuation out, hyphens and slashes to blanks, at most ``max_words``: as for caption pre-training.

    Source: reference ``dataset/utils.py`` (``pre_text``); tabs inside a line stay.
    """
    text = re.sub(r"[,.'!?\"()*#:;~<>]", "", text.lower())
    text = re.sub(r"\s{2,}", " ", re.sub(r"[-/]", " ", text)).strip()
    return text if max_words is None else " ".join(text.split(" ")[:max_words])
