"""Query parameters: what each release accepts, and in which words it refuses.

Three families: flask-restful (1.0: `params`), flask-restx (1.7 to 1.10: `errors`) and pydantic
(from 1.11: the whole validation text). Unknown parameters are ignored, of repeated ones the first
counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from re import fullmatch
from uuid import UUID

from dify_simulated.server.errors import ApiError, invalid_param, unprocessable
from dify_simulated.versions import ErrorFamily, ServerVersion
from dify_simulated.world.rows import JsonObject

# Models whose misfits stay 400 where most others answer 422.
STILL_BAD_REQUESTS = frozenset(
    {
        "AgentLogMessagesQuery",
        "AgentLogsQuery",
        "AgentStatisticsQuery",
        "AppListQuery",
        "ChatMessagesQuery",
        "WorkflowListQuery",
        "StatisticTimeRangeQuery",
        "ConsoleDatasetListQuery",
        "DocumentDatasetListParam",
    }
)
_TRUE = ("true", "1", "yes", "on", "t", "y")
_FALSE = ("false", "0", "no", "off", "f", "n")


class BadValue(Exception):
    """A value that does not fit: pydantic's kind and text, and the text of the older families."""

    def __init__(self, kind: str, text: str, older_text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
        self.older_text = older_text


@dataclass(frozen=True)
class Parameter:
    """One query parameter of text, with its default; subclasses check more."""

    name: str
    default: object = None
    required: bool = False

    def read(self, raw: str) -> object:
        """The value of a text. Raises BadValue."""
        return raw


@dataclass(frozen=True)
class Whole(Parameter):
    """A whole number within bounds, both included; None = no bound."""

    low: int | None = None
    high: int | None = None

    def read(self, raw: str) -> object:
        """An int."""
        if not fullmatch(r"\s*[+-]?\d+\s*", raw):
            text = "Input should be a valid integer, unable to parse string as an integer"
            raise BadValue("int_parsing", text, f"{raw} is not a valid integer")
        value = int(raw)
        older = (
            f"Invalid argument: {raw}. argument must be within the range {self.low} - {self.high}"
        )
        if self.low is not None and value < self.low:
            text = f"Input should be greater than or equal to {self.low}"
            raise BadValue("greater_than_equal", text, older)
        if self.high is not None and value > self.high:
            text = f"Input should be less than or equal to {self.high}"
            raise BadValue("less_than_equal", text, older)
        return value


@dataclass(frozen=True)
class Choice(Parameter):
    """One of a few words. `kind` is pydantic's: literal_error, or enum."""

    choices: tuple[str, ...] = ()
    kind: str = "literal_error"

    def read(self, raw: str) -> object:
        """One of the choices."""
        if raw in self.choices:
            return raw
        quoted = [f"'{choice}'" for choice in self.choices]
        listed = f"{', '.join(quoted[:-1])} or {quoted[-1]}"
        older = f"The value '{raw}' is not a valid choice for '{self.name}'."
        raise BadValue(self.kind, f"Input should be {listed}", older)


@dataclass(frozen=True)
class Identifier(Parameter):
    """A uuid; "" means that none was given, unless it is required."""

    def read(self, raw: str) -> object:
        """The uuid in lower case, or None for ""."""
        if raw == "" and not self.required:
            return None
        try:
            return str(UUID(raw))
        except ValueError:
            text = f"{raw} is not a valid uuid."
            raise BadValue("value_error", f"Value error, {text}", text) from None


@dataclass(frozen=True)
class Flag(Parameter):
    """A boolean in the spellings that pydantic takes."""

    def read(self, raw: str) -> object:
        """True or False."""
        lowered = raw.lower()
        if lowered in _TRUE:
            return True
        if lowered in _FALSE:
            return False
        text = "Input should be a valid boolean, unable to interpret input"
        raise BadValue("bool_parsing", text, f"Invalid literal for boolean(): {raw}")


class Values:
    """Checked parameters by name, asked for by type."""

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def whole(self, name: str) -> int:
        """A number that has a default."""
        value = self._values[name]
        if not isinstance(value, int):
            raise TypeError(f"parameter {name} is not a number: give it a default")
        return value

    def number(self, name: str) -> int | None:
        """A number, None when it was not sent."""
        value = self._values.get(name)
        return value if isinstance(value, int) else None

    def text(self, name: str) -> str | None:
        """A text, None when it was not sent."""
        value = self._values.get(name)
        return value if isinstance(value, str) else None

    def flag(self, name: str) -> bool | None:
        """A boolean, None when it was not sent."""
        value = self._values.get(name)
        return value if isinstance(value, bool) else None


def read_query(
    query: Mapping[str, str], parameters: tuple[Parameter, ...], *, model: str, at: ServerVersion
) -> Values:
    """Check a query. `model` is the name of Dify's pydantic class. Raises ApiError (400)."""
    values: dict[str, object] = {}
    problems: list[tuple[Parameter, str | None, BadValue]] = []
    for parameter in parameters:
        raw = query.get(parameter.name)
        try:
            values[parameter.name] = _value(parameter, raw, at)
        except BadValue as problem:
            problems.append((parameter, raw, problem))
    if problems:
        raise _refusal(problems, query, model, at)
    return Values(values)


def _value(parameter: Parameter, raw: str | None, at: ServerVersion) -> object:
    if raw is not None:
        return parameter.read(raw)
    if not parameter.required:
        return parameter.default
    missing = "Missing required parameter in the query string"
    raise BadValue("missing", "Field required", missing)


def _refusal(
    problems: list[tuple[Parameter, str | None, BadValue]],
    query: Mapping[str, str],
    model: str,
    at: ServerVersion,
) -> ApiError:
    parameter, _, first = problems[0]
    if at.error_family is not ErrorFamily.PYDANTIC:
        return older_refusal(parameter.name, first.older_text, at)
    if at.answers_unprocessable and model not in STILL_BAD_REQUESTS:
        raise unprocessable([_problem(*one, query=query, at=at) for one in problems])
    count = len(problems)
    lines = [f"{count} validation error{'s' if count > 1 else ''} for {model}"]
    for parameter, raw, problem in problems:
        shown: object = dict(query) if raw is None else raw
        kind = type(shown).__name__
        lines.append(parameter.name)
        lines.append(
            f"  {problem.text} [type={problem.kind}, input_value={shown!r}, input_type={kind}]"
        )
        lines.append(f"    For further information visit {pydantic_page(problem.kind, at)}")
    return invalid_param("\n".join(lines))


def _problem(
    parameter: Parameter,
    raw: str | None,
    problem: BadValue,
    *,
    query: Mapping[str, str],
    at: ServerVersion,
) -> JsonObject:
    return {
        "type": problem.kind,
        "loc": [parameter.name],
        "msg": problem.text,
        "input": dict(query) if raw is None else raw,
        "url": pydantic_page(problem.kind, at),
    }


def pydantic_page(kind: str, at: ServerVersion) -> str:
    """Where pydantic explains a kind of misfit."""
    return f"https://errors.pydantic.dev/{'2.12' if at.since(1, 16) else '2.11'}/v/{kind}"


def older_refusal(name: str, text: str, at: ServerVersion) -> ApiError:
    """The answer of the two older families about one parameter."""
    body: JsonObject = {"errors": {name: text}, "message": "Input payload validation failed"}
    if at.error_family is ErrorFamily.PARAMS:
        body = {"code": "invalid_param", "message": text, "params": name}
    return ApiError(400, body)
