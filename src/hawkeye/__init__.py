"""HawkEye: find the moment in a video that a sentence describes.

The six names a user needs, imported when first touched, so that ``import hawkeye`` stays light.
"""

from importlib import import_module

from hawkeye.version import __version__

_HOME = {
    "Grounder": "hawkeye.grounding.grounder",
    "GroundingResult": "hawkeye.grounding.result",
    "HawkEyeError": "hawkeye.errors",
    "Span": "hawkeye.spans",
    "load_model": "hawkeye.models.base",
    "open_video": "hawkeye.video.reader",
}

__all__ = ["Grounder", "GroundingResult", "HawkEyeError", "Span", "__version__", "load_model", "open_video"]


def __getattr__(name: str):
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'hawkeye' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
