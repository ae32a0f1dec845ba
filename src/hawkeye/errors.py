"""Every error that a user can cause, under one root.

The text of an error says what went wrong, where, what was expected and what was found, and what to do about it.
"""


class HawkEyeError(Exception):
    """Root of all errors raised on purpose by this package."""


class VideoError(HawkEyeError):
    """A video can't be opened or read as asked."""


class AnnotationError(HawkEyeError):
    """An annotation, query or prediction file is not what it should be."""


class CheckpointError(HawkEyeError):
    """Weights are missing, broken, or of another model."""


class ConfigError(HawkEyeError):
    """A setting is unknown, ill-typed or impossible."""


class ModelError(HawkEyeError):
    """A model (local or remote) could not answer."""


class OutputError(HawkEyeError):
    """An output folder or file is in use, full, or of another run."""


class MissingDependency(HawkEyeError):
    """A feature needs a package that is not installed."""
