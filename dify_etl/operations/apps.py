"""Make apps and change them: fields, switches, model configuration.

What is not given stays as it is. Names are not unique in Dify, so an app of the same name is
refused unless it is asked for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from typing import Annotated, Self

from pydantic import AfterValidator, Field, JsonValue, model_validator

from dify_etl.dify.app_records import App, AppDetail
from dify_etl.dify.app_writes import LONGEST_NAME, AppChanges, AppDraft
from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import AppGone, Refused
from dify_etl.operations.applying import Action, Answer, Found, Operation, Operator, agrees
from dify_etl.operations.errors import InputWrong, TargetUnknown, Undecided
from dify_etl.operations.model_configs import config_action, read_config
from dify_etl.operations.plan import Step, Target
from dify_etl.operations.redaction import State
from dify_etl.operations.request import (
    Argument,
    OperationContext,
    Option,
    OptionalFile,
    PlannedRequest,
)
from dify_etl.suggestions import did_you_mean

CREATE, UPDATE, RENAME = "apps.create", "apps.update", "apps.rename"
CHANGE_ICON = "apps.change_icon"
SWITCH_SITE, SWITCH_API = "apps.switch_site", "apps.switch_api"
MODES = ("chat", "agent-chat", "advanced-chat", "workflow", "completion")
AGENT = "agent"  # the mode that GET /apps leaves out unless it is asked for
LONGEST_DESCRIPTION = 400
# Where a record names a field otherwise than Dify's PUT.
_FIELDS = {"use_icon_as_answer_icon": "is_icon_as_answer_icon"}
# All that a PUT writes, by the names of the record.
_PUT_FIELDS = (
    "name",
    "description",
    "icon_type",
    "icon",
    "icon_background",
    "is_icon_as_answer_icon",
    "max_active_requests",
)
_ICON_FIELDS = {"icon_type", "icon", "icon_background"}
_TEXTS = ("description", *_ICON_FIELDS)
_PUTS_ZERO = (1, 11)  # since this version a PUT writes 0 where there was no limit of requests


def _named(name: str | None) -> str | None:
    if name is not None and not name.strip():
        raise InputWrong("an app needs a name", where="name", hint="Give one.")
    return name


def _made(mode: str) -> str:
    if mode not in MODES:
        raise InputWrong(
            f"{mode!r} is no mode of an app", where="mode", hint=f"Modes: {', '.join(MODES)}."
        )
    return mode


AnApp = Annotated[str, Argument("APP"), Field(description="Id or name of an app.")]
SomeApps = Annotated[list[str], Argument("APP"), Field(description="Ids or names of apps.")]
Twin = Annotated[bool, Field(description="Also when an app of this name exists.")]
_NAME = AfterValidator(_named)
_Description = Annotated[
    str | None, Field(max_length=LONGEST_DESCRIPTION, description="What it is for.")
]
_Icon = Annotated[str | None, Field(description="An emoji.")]
_Background = Annotated[str | None, Field(description="Colour, as #FFEAD5.")]


class CreateApp(PlannedRequest):
    """Make an empty app."""

    name: Annotated[str, Argument("NAME"), _NAME] = Field(
        max_length=LONGEST_NAME, description="Name of the new app."
    )
    mode: Annotated[str, AfterValidator(_made)] = Field(description=f"One of {', '.join(MODES)}.")
    description: _Description = None
    icon: _Icon = None
    icon_background: _Background = None
    twin: Twin = False

    def plan(self, context: OperationContext) -> Operation:
        """One step: the new app."""
        return create_operation(context.operator, self.draft, allows_duplicate=self.twin)

    @property
    def draft(self) -> AppDraft:
        """The app to make: what was not given is as Dify has it."""
        given = self.model_dump(exclude={"twin"})
        return AppDraft(**{name: text for name, text in given.items() if text})


class UpdateApp(PlannedRequest):
    """Change what is given; everything else stays as it is."""

    app: AnApp
    name: Annotated[str | None, _NAME] = Field(
        default=None, max_length=LONGEST_NAME, description="New name."
    )
    description: _Description = None
    icon: _Icon = None
    icon_background: _Background = None
    max_active_requests: int | None = Field(
        default=None, ge=0, description="Parallel requests; 0: no limit."
    )
    is_icon_as_answer_icon: Annotated[bool | None, Option("--answer-icon/--no-answer-icon")] = (
        Field(default=None, description="Whether answers show the app's icon.")
    )
    is_site_on: Annotated[bool | None, Option("--site/--no-site")] = Field(
        default=None, description="The web app."
    )
    is_api_on: Annotated[bool | None, Option("--api/--no-api")] = Field(
        default=None, description="The service API."
    )
    model_config_file: Annotated[OptionalFile, Option("--model-config")] = Field(
        default=None,
        description="JSON object in a file: keys of Dify's model configuration to replace.",
    )

    @model_validator(mode="after")
    def _read(self) -> Self:
        """A file that is wrong is told before Dify is asked."""
        _ = self.desired
        return self

    def plan(self, context: OperationContext) -> Operation:
        """A step per call that Dify needs."""
        return update_operation(context.operator, self.app, self.desired)

    @cached_property
    def desired(self) -> "DesiredApp":
        """What the app should be. InputWrong when the file holds no configuration."""
        path = self.model_config_file
        return DesiredApp(
            AppChanges(
                name=self.name,
                description=self.description,
                icon_type=None if self.icon is None else "emoji",
                icon=self.icon,
                icon_background=self.icon_background,
                max_active_requests=self.max_active_requests,
                use_icon_as_answer_icon=self.is_icon_as_answer_icon,
            ),
            is_site_on=self.is_site_on,
            is_api_on=self.is_api_on,
            model_config=None if path is None else read_config(path),
        )


def every_app(dify: DifyClient, *, name: str | None = None) -> list[App]:
    """All apps of the workspace, agents too; `name`: only those with this in their name."""
    listed = [*dify.apps.list(name=name), *(agents(dify, name=name) or ())]
    return list({app.app_id: app for app in listed}.values())


def agents(dify: DifyClient, *, name: str | None = None) -> list[App] | None:
    """The apps of mode agent; None where the server knows no such mode (before 1.15)."""
    try:
        return list(dify.apps.list(mode=AGENT, name=name))
    except Refused:
        return None


def found_app(dify: DifyClient, text: str) -> App:
    """The app with this id, or the only one with this name. TargetUnknown."""
    known = every_app(dify)
    found = [app for app in known if text in (app.app_id, app.name)]
    if len(found) == 1:
        return found[0]
    what = "several apps are called" if found else "Dify has no app with the id or name"
    ids = f" Its ids: {', '.join(app.app_id for app in found)}." if found else ""
    meant = "" if found else did_you_mean(text, [app.name for app in known])
    raise TargetUnknown(
        f"{what} {text!r}",
        where="GET /apps",
        hint=f"{meant}Give the id; `apps list` shows it.{ids}",
    )


def found_apps(dify: DifyClient, texts: Sequence[str]) -> list[App]:
    """The apps with these ids or names, each once. TargetUnknown."""
    found = {app.app_id: app for app in (found_app(dify, text) for text in texts)}
    return list(found.values())


def target_of(app: App) -> Target:
    """An app as the target of a step."""
    return Target("app", app.app_id, app.name)


def detail_of(dify: DifyClient, app_id: str) -> AppDetail | None:
    """The app as it is stored; None when it is gone."""
    try:
        return dify.apps.get(app_id)
    except AppGone:
        return None


class NewApps:
    """Finds the app that a write made, whether its answer came or not. `listed`: all apps, where
    they were just listed.
    """

    def __init__(
        self, dify: DifyClient, name: str, mode: str, listed: Sequence[App] | None = None
    ) -> None:
        self._dify = dify
        self._name = name
        self._mode = mode
        self._before = set(self._called(listed) if listed is not None else self.ids())

    def ids(self) -> list[str]:
        """The ids of the apps with this name and mode."""
        return self._called(every_app(self._dify))

    def _called(self, apps: Sequence[App]) -> list[str]:
        wanted = (self._name, self._mode)
        return [app.app_id for app in apps if (app.name, app.mode) == wanted]

    def has_more(self) -> bool:
        """Whether such an app was made since the plan."""
        return set(self.ids()) != self._before

    def made(self) -> str | None:
        """The id of the one that is new; None when none is. Undecided when several are."""
        new = [app_id for app_id in self.ids() if app_id not in self._before]
        if len(new) > 1:
            raise Undecided(
                f"{len(new)} apps called {self._name!r} were made at the same time",
                where="GET /apps",
                hint=f"Look at them in Dify and delete what is too much: {', '.join(new)}.",
            )
        return new[0] if new else None


def create_operation(
    operator: Operator, draft: AppDraft, *, allows_duplicate: bool = False
) -> Operation:
    """One step: a new app. InputWrong when an app of this name exists, unless a twin is wanted."""
    dify = operator.dify
    check_no_duplicate(dify, draft.name, is_wanted=allows_duplicate)
    new = NewApps(dify, draft.name, draft.mode)
    after: State = asdict(draft)
    fields = list(after)

    def read_back(answer: Answer) -> Found:
        app_id = answer.value.app_id if answer else new.made()
        return Found(None if app_id is None else state_of(dify, app_id, fields), app_id)

    step = Step(CREATE, Target("app", None, draft.name), None, after)
    action = Action(
        step,
        write=partial(dify.apps.create, draft),
        read_back=read_back,
        look=lambda: {"made meanwhile": True} if new.has_more() else None,
    )
    return operator.operation(CREATE, [action], ())


def check_no_duplicate(dify: DifyClient, name: str, *, is_wanted: bool) -> None:
    """InputWrong when an app of this name exists, unless a twin is wanted."""
    if not is_wanted and any(app.name == name for app in every_app(dify)):
        raise InputWrong(
            f"there is an app called {name!r} already",
            where="GET /apps",
            hint="Choose another name, or say --twin for a second app of this name.",
        )


@dataclass(frozen=True)
class DesiredApp:
    """What an app should be; None stays as it is.

    `model_config` holds keys of Dify's model configuration: objects are merged key by key, all else
    is replaced.
    """

    changes: AppChanges
    is_site_on: bool | None = None
    is_api_on: bool | None = None
    model_config: Mapping[str, JsonValue] | None = None


def update_operation(operator: Operator, text: str, desired: DesiredApp) -> Operation:
    """A step per call that Dify needs: fields (or the name alone), switches, configuration."""
    dify = operator.dify
    app = found_app(dify, text)
    actions = [
        *_field_actions(dify, app, desired.changes),
        *_switch_actions(dify, app, desired),
    ]
    if desired.model_config:
        actions.append(config_action(dify, app, target_of(app), desired.model_config))
    return operator.operation(UPDATE, actions, ())


def _field_actions(dify: DifyClient, app: App, changes: AppChanges) -> list[Action]:
    """Dify's own calls for a name and an icon touch nothing else; all the rest takes a PUT."""
    given = {_FIELDS.get(name, name): value for name, value in changes.given().items()}
    if not given:
        return []
    held = state_of(dify, app.app_id, _PUT_FIELDS)
    wanted = {name: value for name, value in given.items() if held is None or held[name] != value}
    if not wanted:
        return []
    if held is None or not set(wanted) <= {"name", *_ICON_FIELDS} - {"icon_type"}:
        return [_replacement(dify, app, held, wanted, changes)]
    actions = []
    if "name" in wanted:
        write: Callable[[], Answer] = partial(dify.apps.rename, app.app_id, str(wanted["name"]))
        actions.append(_change(dify, app, RENAME, {"name": wanted["name"]}, write))
    icon = {name: value for name, value in wanted.items() if name != "name"}
    if icon:
        write = partial(dify.apps.change_icon, app.app_id, changes)
        actions.append(_change(dify, app, CHANGE_ICON, icon, write))
    return actions


def _replacement(
    dify: DifyClient, app: App, held: State | None, wanted: State, changes: AppChanges
) -> Action:
    """The step of a PUT, about all fields that it writes: those that stay must be there afterwards.

    Since 1.11 no PUT leaves an app without a limit of requests as it is: null becomes 0, which
    means the same. The plan shows it.
    """
    look = partial(state_of, dify, app.app_id, _PUT_FIELDS)
    before, note, after = dict(held or {}), "", {**(held or {}), **wanted}
    # 0 and null mean the same, and which of the two comes back differs by version.
    may_be_zero = before.get("max_active_requests") is None and "max_active_requests" not in wanted
    if may_be_zero and dify.version >= _PUTS_ZERO:
        after["max_active_requests"] = 0
        note = "max_active_requests: Dify writes 0 for none; both mean no limit"

    def is_done(found: Found) -> bool:
        seen = dict(found.state or {})
        if may_be_zero and not seen.get("max_active_requests"):
            seen["max_active_requests"] = after["max_active_requests"]
        if not after["icon_type"]:  # the newest servers name the type that they assume
            seen["icon_type"] = after["icon_type"]
        return agrees(seen, after)

    return Action(
        Step(UPDATE, target_of(app), held, after, note=note),
        write=partial(dify.apps.update, app.app_id, changes),
        read_back=lambda answer: Found(look(), app.app_id),
        look=look,
        is_done=is_done,
    )


def _switch_actions(dify: DifyClient, app: App, desired: DesiredApp) -> list[Action]:
    actions = []
    if desired.is_site_on is not None:
        write = partial(dify.apps.switch_site, app.app_id, desired.is_site_on)
        wanted: State = {"is_site_enabled": desired.is_site_on}
        actions.append(_change(dify, app, SWITCH_SITE, wanted, write))
    if desired.is_api_on is not None:
        write = partial(dify.apps.switch_api, app.app_id, desired.is_api_on)
        wanted = {"is_api_enabled": desired.is_api_on}
        actions.append(_change(dify, app, SWITCH_API, wanted, write))
    return actions


def _change(
    dify: DifyClient, app: App, operation: str, wanted: State, write: Callable[[], Answer]
) -> Action:
    look = partial(state_of, dify, app.app_id, list(wanted))
    return Action(
        Step(operation, target_of(app), look(), wanted),
        write=write,
        read_back=lambda answer: Found(look(), app.app_id),
        look=look,
    )


def state_of(dify: DifyClient, app_id: str, fields: Sequence[str]) -> State | None:
    """These fields of the stored app; None when it is gone. Texts that are null count as empty."""
    detail = detail_of(dify, app_id)
    if detail is None:
        return None
    return {name: _field(dify, detail, name) for name in fields}


def _field(dify: DifyClient, detail: AppDetail, name: str) -> JsonValue:
    if name == "max_active_requests":
        return dify.apps.most_requests(detail)
    value: JsonValue = getattr(detail, name)
    return "" if value is None and name in _TEXTS else value
