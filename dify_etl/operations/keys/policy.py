"""`rotation.toml`: which keys are rotated, when, and where the new ones go."""

import tomllib
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dify_etl.operations.keys.errors import PolicyMissing, PolicyWrong
from dify_etl.operations.keys.sinks.configs import SinkConfig

DEFAULT_MAX_AGE_DAYS = 90
DEFAULT_GRACE_HOURS = 24.0
SINK_TYPES = ("file", "aws", "vault", "command")  # pydantic names them in places of errors

T = TypeVar("T")
Days = Annotated[int, Field(ge=1, le=3650)]
Hours = Annotated[float, Field(ge=0, le=24 * 365)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Defaults(_Strict):
    """What a target does not say for itself.

    `revoke_unobserved`: revoke after the grace period also where Dify does not show whether the
    old key is still in use.
    """

    max_age_days: Days = DEFAULT_MAX_AGE_DAYS
    grace_hours: Hours = DEFAULT_GRACE_HOURS
    revoke_unobserved: bool = False


class TargetRule(_Strict):
    """One consumer of an app (by name or id, or all apps with a tag) or of the datasets.

    `key_ids` are the keys that the consumer uses today: the only ones, beside those that a
    rotation made, that are ever revoked. `entry` is the place in the sink; `{app_id}` stands for
    the app's, which a rule with a tag needs. Its name may not: whoever renames an app would choose
    which secret is overwritten.
    """

    consumer: Annotated[str, Field(min_length=1, max_length=100)]
    sink: str
    entry: Annotated[str, Field(min_length=1)]
    app: Annotated[str, Field(min_length=1)] | None = None
    tag: Annotated[str, Field(min_length=1)] | None = None
    datasets: bool = False
    owner: str | None = None
    key_ids: tuple[str, ...] = ()
    max_age_days: Days | None = None
    grace_hours: Hours | None = None
    revoke_unobserved: bool | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if [bool(self.app), bool(self.tag), self.datasets].count(True) != 1:
            raise ValueError("give exactly one of app, tag and datasets = true")
        if "{app_name}" in self.entry:
            raise ValueError(
                "{app_name} is not taken in entry any more: whoever may rename an app could name "
                "another entry of the sink. Write {app_id}, or the entry itself"
            )
        if self.tag and "{app_id}" not in self.entry:
            raise ValueError("entry needs {app_id}: a tag may stand for many apps")
        return self


class Exclusions(_Strict):
    """What is left alone: apps by name or id, keys by id."""

    apps: tuple[str, ...] = ()
    key_ids: tuple[str, ...] = ()


class Notification(_Strict):
    """A command that is told what happened: JSON without any key on its standard input."""

    command: Annotated[tuple[str, ...], Field(min_length=1)]


class Policy(_Strict):
    """The whole file. At most `most_per_run` rotations begin in one run, the oldest keys first."""

    defaults: Defaults = Defaults()
    most_per_run: Annotated[int, Field(ge=1, le=1000)] = 10
    sinks: dict[str, SinkConfig] = {}
    targets: tuple[TargetRule, ...] = ()
    exclude: Exclusions = Exclusions()
    notify: Notification | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        for rule in self.targets:
            if rule.sink not in self.sinks:
                raise ValueError(f"target {rule.consumer!r} names the unknown sink {rule.sink!r}")
        _once("key_ids", [key for rule in self.targets for key in rule.key_ids])
        _once("consumer, app or tag", [(_scope(rule), rule.consumer) for rule in self.targets])
        _once("sink, entry", [(rule.sink, rule.entry) for rule in self.targets if not rule.tag])
        return self

    def max_age(self, rule: TargetRule) -> timedelta:
        """How old a key of this rule may become."""
        return timedelta(days=_either(rule.max_age_days, self.defaults.max_age_days))

    def grace(self, rule: TargetRule) -> timedelta:
        """How long the old key lives beside the new one."""
        return timedelta(hours=_either(rule.grace_hours, self.defaults.grace_hours))

    def revokes_unobserved(self, rule: TargetRule) -> bool:
        """Whether the old key may go where nobody can see whether it is still used."""
        return _either(rule.revoke_unobserved, self.defaults.revoke_unobserved)


def read_policy(path: Path) -> Policy:
    """The policy of a file. PolicyWrong names the line, or the table and the field."""
    try:
        return Policy.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise PolicyMissing(
            "there is no policy file",
            where=str(path.absolute()),
            hint="Write one (`dify-etl docs key-rotation` begins with an example), or name another "
            "with --policy or DIFY_ETL_ROTATION_POLICY.",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
        raise _wrong(f"it cannot be read: {reason}", path) from None
    except tomllib.TOMLDecodeError as error:
        raise _wrong(f"it is no TOML: {error}", path) from None
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False, include_context=False)
        raise _wrong("; ".join(_policy_error(one) for one in found[:5]), path) from None


def _either(own: T | None, default: T) -> T:
    return default if own is None else own


def _scope(rule: TargetRule) -> str:
    return "datasets" if rule.datasets else f"app {rule.app}" if rule.app else f"tag {rule.tag}"


def _once(what: str, values: Sequence[object]) -> None:
    twice = sorted({str(value) for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"{what}: {', '.join(twice)} stands in two targets")


def _wrong(what: str, path: Path) -> PolicyWrong:
    return PolicyWrong(
        what, where=str(path), hint="`dify-etl docs key-rotation` tells every field."
    )


def _policy_error(error: Any) -> str:
    place = _place([part for part in error["loc"] if part not in SINK_TYPES])
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "there is no such field"
    return f"{place}: {message}" if place else message


def _place(parts: Sequence[str | int]) -> str:
    """`targets`, 1, `app` as `[[targets]] number 2, app`."""
    if len(parts) > 1 and isinstance(parts[1], int):
        rest = ".".join(str(part) for part in parts[2:])
        return f"[[{parts[0]}]] number {parts[1] + 1}" + (f", {rest}" if rest else "")
    if len(parts) > 1:
        return f"[{'.'.join(str(part) for part in parts[:-1])}] {parts[-1]}"
    return str(parts[0]) if parts else ""
