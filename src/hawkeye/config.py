"""The base of every settings class: frozen, checked, unknown keys refused by name. YAML files and key=value overrides."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Self, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from hawkeye.errors import ConfigError


class Config(BaseModel):
    """Subclass it beside the code that owns the settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def from_dict(cls, values: dict[str, Any], source: str = "settings") -> Self:
        """Raises ConfigError that names each wrong key, and the nearest right one."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise ConfigError(f"{source}: " + "; ".join(_explain(cls, e) for e in error.errors())) from None

    @classmethod
    def from_yaml(cls, path: str | Path, overrides: list[str] | None = None) -> Self:
        """Read ``path``, then apply ``overrides`` such as ``optimizer.lr=3e-5``. Raises ConfigError."""
        return cls.from_dict(apply_overrides(read_yaml(path), overrides or []), source=str(path))


def read_yaml(path: str | Path) -> dict[str, Any]:
    """A mapping from a YAML file, by the safe loader. Raises ConfigError."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: can't be read ({error.strerror}): give the path of a YAML file") from None
    try:
        values = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: is not valid YAML: {' '.join(str(error).split())}") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: expected key: value lines, got {type(values).__name__}")
    return values


def apply_overrides(values: dict[str, Any], overrides: list[str]) -> dict[str, Any]:
    """``["a.b=1"]`` -> ``{"a": {"b": 1}}`` laid over ``values`` (which is not changed). Values are read as YAML."""
    result = _copy(values)
    for override in overrides:
        path, sign, text = override.partition("=")
        if not sign or not path.strip():
            raise ConfigError(f"override {override!r}: expected key=value, such as optimizer.lr=3e-5")
        *parents, last = path.strip().split(".")
        place = result
        for parent in parents:
            inner = place.setdefault(parent, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"override {override!r}: {parent} holds {inner!r}, not a group of settings")
            place = inner
        try:
            place[last] = yaml.safe_load(text)
        except yaml.YAMLError:
            raise ConfigError(f"override {override!r}: the value is not valid YAML") from None
    return result


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _copy(v) for k, v in value.items()}
    return [_copy(v) for v in value] if isinstance(value, list) else value


def _explain(cls: type[BaseModel], error: Any) -> str:
    where = ".".join(str(part) for part in error["loc"])
    if error["type"] != "extra_forbidden":
        return f"{where}: {error['msg']} (got {error['input']!r})"
    owner: type[BaseModel] | None = cls
    for part in error["loc"][:-1]:
        if isinstance(part, int) or owner is None:  # a place in a list, whose model was found already
            continue
        field = owner.model_fields.get(part)
        owner = _model_in(field.annotation) if field else None
    known = list(owner.model_fields) if owner else []
    near = difflib.get_close_matches(str(error["loc"][-1]), known, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"known keys: {', '.join(known)}" if known else "remove it"
    return f"{where}: unknown key, {hint}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The settings class that a field holds: itself, in a list, or beside None."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)
