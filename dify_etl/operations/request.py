"""What an operation is asked for: one model, of which the command line and Dagster make their
options. Names, defaults, bounds, sentences and refusals stand in it and nowhere else.
"""

import inspect
import reprlib
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from dify_etl.operations.applying import Operation, Operator
from dify_etl.operations.errors import InputWrong
from dify_etl.operations.first_keys import FirstKeys
from dify_etl.operations.sync_proof import SyncProof

Face = Literal["command", "job"]
GIVEN_BY_A_SCHEDULE = (
    "Leave it empty, and give plan_id: the schedule gives each of its runs a token of its own, "
    "which is good for that run and no other."
)
JSON_ANSWER = "A JSON document for machines, no table."
# A file that may be left out; an empty text in Dagster's launchpad names none.
OptionalFile = Annotated[Path | None, BeforeValidator(lambda given: given or None)]


@dataclass(frozen=True)
class Argument:
    """Marks a field that stands on the command line without a name, as `metavar` in the help."""

    metavar: str


@dataclass(frozen=True)
class Option:
    """Marks a field that the command line calls otherwise than `--its-name`; `metavar` stands for
    its value in the help.
    """

    flags: str
    metavar: str | None = None


@dataclass(frozen=True)
class Only:
    """Marks a field that makes sense in one face alone, and says why."""

    face: Face
    why: str


class Request(BaseModel):
    """What somebody asks for. Refusals are InputWrong, and Dify was not asked yet."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def asked(cls, values: Mapping[str, Any]) -> Self:
        """The request of these values by the names of fields; InputWrong names the first bad one.

        None is the same as what was not given.
        """
        try:
            return cls(**{name: value for name, value in values.items() if value is not None})
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][0])
            raise InputWrong(
                f"{reprlib.repr(first['input'])} cannot be taken: {first['msg']}",
                where=spelled(name, cls.model_fields[name]),
                hint=sentence(cls.model_fields[name]),
            ) from None


@dataclass(frozen=True)
class OperationContext:
    """Where an operation is planned: by whom, over which home, with which proof of its sync.

    `sync_proof_at` gives that proof as it stands at a moment; `first_keys` opens policy and sinks
    of the rotation of keys; without a policy nobody waits for a key.
    """

    operator: Operator
    home: Path
    sync_proof_at: Callable[[datetime], SyncProof]
    first_keys: Callable[[], FirstKeys]


class PlannedRequest(Request):
    """A request that changes Dify: by a plan that is shown first."""

    @abstractmethod
    def plan(self, context: OperationContext) -> Operation:
        """What would be done. Reads Dify, and sends nothing that changes it."""


class Agreement(Request):
    """How a plan shall be treated: shown, or done once its id is given, within limits."""

    plan_id: Annotated[str | None, Option("--apply", "PLAN_ID")] = Field(
        default=None, description="The id of the plan that was shown: needed to do it."
    )
    dry_run: Annotated[bool, Only("job", "a command without --apply is a dry run")] = Field(
        default=True, description="Only show the plan; false applies it."
    )
    most: int = Field(default=1, ge=1, description="Most objects that one run may touch.")
    names: Annotated[list[str], Option("--name")] = Field(
        default=[], description="Names of what is deleted, typed back."
    )
    as_json: Annotated[
        bool, Option("--json"), Only("command", "Dagster has metadata of its own")
    ] = Field(default=False, description="The plan, or what came of it, as JSON.")
    yes: Annotated[bool, Only("command", "in Dagster names are always typed back")] = Field(
        default=False, description="Delete without typing the names back."
    )
    schedule_token: Annotated[str, Only("job", "only Dagster has schedules")] = Field(
        default="", description=GIVEN_BY_A_SCHEDULE
    )


BOUNDS = {"ge": "at least {}", "gt": "more than {}", "max_length": "at most {} characters"}
M = TypeVar("M", Argument, Option, Only)


@dataclass(frozen=True)
class OperationSpec:
    """An operation as it is offered: its command, its job in Dagster (an asset when it only looks),
    what it is asked for, and the most objects that one run may touch unless it is told otherwise.
    """

    command: str
    job: str
    request: type[Request]
    most: int = 1
    is_deletion: bool = False
    is_scheduled: bool = False

    @property
    def changes_dify(self) -> bool:
        """Whether it makes a plan."""
        return issubclass(self.request, PlannedRequest)

    @property
    def description(self) -> str:
        """What it does, in a sentence."""
        return inspect.getdoc(self.request) or ""

    def fields(self, face: Face) -> dict[str, FieldInfo]:
        """The options of one face by name, in the order in which they are shown."""
        both = {**self.request.model_fields, **self._agreement_fields()}
        return {name: one for name, one in both.items() if is_of(face, one)}

    def asked(self, values: Mapping[str, Any]) -> tuple[Request, Agreement]:
        """What a face was given, as request and agreement. InputWrong."""
        own = {name: value for name, value in values.items() if name in self.request.model_fields}
        rest = {name: value for name, value in values.items() if name not in own}
        return self.request.asked(own), Agreement.asked({"most": self.most} | rest)

    def _agreement_fields(self) -> dict[str, FieldInfo]:
        if not self.changes_dify:
            return {"as_json": _changed("as_json", description=JSON_ANSWER)}
        left_out = set() if self.is_deletion else {"names", "yes"}
        left_out |= set() if self.is_scheduled else {"schedule_token"}
        held = {**Agreement.model_fields, "most": _changed("most", default=self.most)}
        return {name: one for name, one in held.items() if name not in left_out}


def _changed(name: str, **changes: Any) -> FieldInfo:
    """A field of the agreement with another default or sentence."""
    return FieldInfo.merge_field_infos(Agreement.model_fields[name], **changes)


def mark(field: FieldInfo, kind: type[M]) -> M | None:
    """The mark of this kind on a field, if it has one."""
    return next((one for one in field.metadata if isinstance(one, kind)), None)


def is_of(face: Face, field: FieldInfo) -> bool:
    """Whether a face has this field."""
    only = mark(field, Only)
    return only is None or only.face == face


def option_of(name: str, field: FieldInfo) -> Option:
    """How the command line calls a field."""
    return mark(field, Option) or Option(f"--{name.replace('_', '-')}")


def sentence(field: FieldInfo) -> str:
    """What users read of a field, with its bounds."""
    told = [BOUNDS[kind].format(bound) for kind, bound in bounds_of(field)]
    return "; ".join([(field.description or "").rstrip("."), *told]) + "."


def bounds_of(field: FieldInfo) -> Iterator[tuple[str, Any]]:
    """The bounds of a field: their kinds, as in `BOUNDS`, and values."""
    for one in field.metadata:
        yield from ((kind, getattr(one, kind)) for kind in BOUNDS if hasattr(one, kind))


def spelled(name: str, field: FieldInfo) -> str:
    """A field as whoever gave it wrote it, in both faces."""
    argument = mark(field, Argument)
    on_command_line = argument.metavar if argument else option_of(name, field).flags
    faces = [on_command_line] if is_of("command", field) else []
    faces += [f"in Dagster `{name}`"] if is_of("job", field) else []
    return ", ".join(faces)
