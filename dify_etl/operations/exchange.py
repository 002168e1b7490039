"""Apps as files: export the DSL of one or all, make an app of a file or overwrite one."""

import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from dify_etl.dify.app_records import App
from dify_etl.dify.app_writes import DslImport
from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import DifyError
from dify_etl.dify.http.secret_shapes import REMOVED
from dify_etl.operations.applying import Action, Answer, Found, Operation, Operator
from dify_etl.operations.apps import (
    AGENT,
    NewApps,
    SomeApps,
    Twin,
    agents,
    check_no_duplicate,
    every_app,
    found_app,
    found_apps,
    state_of,
    target_of,
)
from dify_etl.operations.dsl import Dsl, shared_dsl, stable_dsl
from dify_etl.operations.errors import InputWrong
from dify_etl.operations.files import read_text
from dify_etl.operations.plan import Step, Target
from dify_etl.operations.publishing import MODES as WITH_DRAFT
from dify_etl.operations.redaction import State
from dify_etl.operations.request import (
    Argument,
    Only,
    OperationContext,
    Option,
    PlannedRequest,
    Request,
)

IMPORT, OVERWRITE = "apps.import", "apps.import_over"
SUFFIX = ".yml"
LONGEST_STEM = 60
MOST_BYTES = 200  # of a stem: with id, suffix and what stands before while writing, 255 is the end
# What Dify's ids are. Anything else could lead out of the folder, or mean other files.
_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
# The names of exported files: a stem, and the app's id; version 0.1 took its first 8 characters.
_EXPORTED = re.compile(
    rf".*-({_ID.pattern}|[0-9a-f]{{8}}){re.escape(SUFFIX)}", re.ASCII | re.DOTALL
)
NO_DRAFT = "nobody has saved a draft of it, and Dify exports drafts alone."
_SAVE_ONE = "Save one in Dify, or import one: `dify-etl apps import FILE --over APP`."
_WITHOUT_DRAFT = "(no draft)"


@dataclass(frozen=True)
class Export:
    """The files of a folder after an export: what each app became, and what belongs to none.

    `empty`: names of apps that have nothing to export yet, since nobody has saved a draft.
    `hidden`: app, and where secrets were that stand in no file; `doubtful`: app, and what may hold
    others.
    """

    written: tuple[Path, ...]
    unchanged: tuple[Path, ...]
    failed: tuple[tuple[str, str], ...]  # app, reason
    orphans: tuple[Path, ...] = ()
    empty: tuple[str, ...] = ()
    hidden: tuple[tuple[str, str], ...] = ()
    doubtful: tuple[tuple[str, str], ...] = ()


class ExportApps(Request):
    """Write the DSL of apps as files that change only when the app does; known secrets are left
    out, and what may hold others is named. A job writes into the folder of DIFY_ETL_EXPORTS.
    """

    apps: SomeApps = Field(default=[])
    everything: Annotated[
        bool, Option("--all"), Only("command", "a job that names no app exports every one")
    ] = Field(default=False, description="Every app of the workspace.")
    to: Annotated[Path, Only("command", "no run chooses a folder: DIFY_ETL_EXPORTS does")] = Field(
        default=Path("apps"), description="Folder for the files; fit for git."
    )
    fail_on_secret: bool = Field(
        default=False, description="Fail when an app holds a secret, or may hold one."
    )

    def export(self, dify: DifyClient, folder: Path) -> "Export":
        """Write the named apps into the folder; all when none is named."""
        apps = found_apps(dify, self.apps) if self.apps else every_app(dify)
        return export_apps(dify, apps, folder, is_all=not self.apps)


def file_name(app: App) -> str:
    """`support-bot-8a1cf00d-….yml`: readable, and the app's own whatever it is called."""
    # In a locale that is not UTF-8 the disk takes no name with a letter that it lacks.
    codec = sys.getfilesystemencoding()
    name = app.name.lower().encode(codec, "ignore").decode(codec, "ignore")
    stem = re.sub(r"[^\w]+", "-", name).strip("-")[:LONGEST_STEM] or "app"
    stem = stem.encode("utf-8", "replace")[:MOST_BYTES].decode("utf-8", "ignore")
    return f"{stem}-{app.app_id}{SUFFIX}"


def export_apps(dify: DifyClient, apps: Sequence[App], folder: Path, *, is_all: bool) -> Export:
    """Write the stable DSL of each app, without known secrets, where it differs from the file
    there.

    A renamed app takes its file along. Nothing outside the folder is touched, no link is followed,
    and only files with names that an export gives are moved. With `is_all`, files of apps that are
    gone are named; none is deleted. An app without a draft fails when it was asked for by name:
    among all it is told. InputWrong when the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _exported(dify, apps, folder, is_all=is_all)
    except OSError as error:
        raise InputWrong(
            f"the folder cannot be written: {error.strerror}",
            where=str(folder),
            hint="Name a folder that you may write.",
        ) from None


def _exported(dify: DifyClient, apps: Sequence[App], folder: Path, *, is_all: bool) -> Export:
    written: list[Path] = []
    unchanged: list[Path] = []
    failed: list[tuple[str, str]] = []
    empty: list[str] = []
    hidden: list[tuple[str, str]] = []
    doubtful: list[tuple[str, str]] = []
    files = _ExportedFiles(folder, apps)
    for app in apps:
        if not _ID.fullmatch(app.app_id):
            failed.append((app.name, f"its id {app.app_id!r} is no UUID, so it names no file"))
            continue
        try:
            exported = exported_dsl(dify, app)
            dsl = None if exported is None else shared_dsl(exported, where=_dsl_of(app))
        except (DifyError, InputWrong) as error:
            failed.append((app.name, str(error)))
            continue
        if dsl is None:
            empty.append(app.name)
            continue
        hidden += [(app.name, place) for place in dsl.hidden]
        doubtful += [(app.name, place) for place in dsl.doubtful]
        path, is_written = files.write(app, dsl.text.encode())
        (written if is_written else unchanged).append(path)
    orphans = files.orphans()
    if not is_all:
        failed += [(name, f"{NO_DRAFT} {_SAVE_ONE}") for name in empty]
    return Export(
        tuple(written),
        tuple(unchanged),
        tuple(failed),
        tuple(orphans if is_all else ()),
        tuple(empty if is_all else ()),
        tuple(hidden),
        tuple(doubtful),
    )


class _ExportedFiles:
    """The files of a folder that exports wrote, by the ids in their names."""

    def __init__(self, folder: Path, apps: Sequence[App]) -> None:
        self._folder = folder
        self._ids = {app.app_id for app in apps}
        self._beginnings = Counter(app_id.split("-", 1)[0] for app_id in self._ids)
        self._files: dict[str, list[Path]] = {}
        for path in sorted(folder.iterdir()):
            found = _EXPORTED.fullmatch(path.name)
            if found and path.is_file() and not path.is_symlink():
                self._files.setdefault(found[1], []).append(path)

    def write(self, app: App, content: bytes) -> tuple[Path, bool]:
        """The app's file, and whether it had to be written; an earlier name gives way to it."""
        path = self._folder / file_name(app)
        for old in self._of(app):
            if old != path:
                old.replace(path)
        if not path.is_symlink() and path.is_file() and path.read_bytes() == content:
            return path, False
        # Beside it first: where a link stands, the link is replaced and what it shows stays.
        fresh = path.with_name(f".{path.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.write_bytes(content)
        fresh.replace(path)
        return path, True

    def orphans(self) -> list[Path]:
        """Files of apps that are not among these."""
        known = {*self._ids, *self._beginnings}
        paths = [path for key, some in self._files.items() if key not in known for path in some]
        return sorted(paths)

    def _of(self, app: App) -> list[Path]:
        """Files of this app by the whole id, and by its beginning where no other app shares it."""
        beginning = app.app_id.split("-", 1)[0]
        old = self._files.pop(beginning, []) if self._beginnings[beginning] == 1 else []
        return [*self._files.pop(app.app_id, []), *old]


def exported_dsl(dify: DifyClient, app: App) -> str | None:
    """The DSL as Dify exports it; None for a workflow or chatflow without a draft.

    Dify exports drafts alone, and answers 400 or 500 where there is none: it is asked for first.
    """
    if app.mode in WITH_DRAFT and dify.workflows.draft(app.app_id) is None:
        return None
    return dify.apps.export_dsl(app.app_id)


def _dsl_of(app: App) -> str:
    return f"DSL of {app.name}"


def read_dsl(path: Path) -> str:
    """The text of a file. InputWrong when it cannot be read."""
    return read_text(path, hint="Name a DSL file.")


class ImportApp(PlannedRequest):
    """Make a new app of a file, or overwrite the draft of one; nothing is published."""

    file: Annotated[Path, Argument("FILE")] = Field(description="A DSL file.")
    name: str | None = Field(
        default=None, description="Another name than the file's, or than the overwritten app's."
    )
    over: str | None = Field(
        default=None,
        description="Overwrite the draft of this workflow or chatflow (id or name), which keeps "
        "its name.",
    )
    twin: Twin = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        """What is wrong is told before Dify is asked."""
        if self.over and self.twin:
            raise InputWrong(
                "an app is overwritten or a twin is made, not both",
                where="import of a DSL",
                hint="Leave out one of the two.",
            )
        _ = self.text
        return self

    @cached_property
    def text(self) -> str:
        """The DSL. InputWrong when the file cannot be read."""
        return read_dsl(self.file)

    def plan(self, context: OperationContext) -> Operation:
        """One step: a new app, or the draft of one that is there."""
        operator, where, name = context.operator, str(self.file), self.name or None
        if self.over:
            return overwrite_operation(operator, self.text, where=where, app=self.over, name=name)
        return import_operation(
            operator, self.text, where=where, name=name, allows_duplicate=self.twin
        )


def import_operation(
    operator: Operator, text: str, *, where: str, name: str | None = None, allows_duplicate: bool
) -> Operation:
    """One step: a new app of this DSL, called as the DSL says or `name`; nothing is published.

    InputWrong for an agent where the server has none, and for an app of that name.
    """
    if not allows_duplicate:
        wanted_name = name or stable_dsl(text, where=where).name
        check_no_duplicate(operator.dify, wanted_name, is_wanted=False)
    action = import_action(operator.dify, text, where=where, name=name, publishing=_publishing)
    return operator.operation(IMPORT, [action], ())


def import_action(
    dify: DifyClient,
    text: str,
    *,
    where: str,
    name: str | None = None,
    publishing: Callable[[str, str | None], str],
    listed: Sequence[App] | None = None,
) -> Action:
    """The step of an import. `publishing` says what of that is left to do, of a mode and an id;
    `listed`: all apps, where they were just listed.

    InputWrong for an agent where the server has none.
    """
    dsl = stable_dsl(text, where=where)
    if dsl.mode == AGENT and agents(dify) is None:
        raise InputWrong(
            "the DSL is that of an agent, and this Dify has no agents",
            where=where,
            hint="Import it into Dify 1.15 or later.",
        )
    wanted_name = name or dsl.name
    new = NewApps(dify, wanted_name, dsl.mode, listed)
    after: State = {"name": wanted_name, "mode": dsl.mode, "description": dsl.description}

    def read_back(answer: Answer) -> Found:
        app_id = answer.value.app_id if answer else new.made()
        state = None if app_id is None else state_of(dify, app_id, list(after))
        return Found(state, app_id, import_message(answer, publishing(dsl.mode, app_id)))

    note = "; ".join(one for one in (_filling(dsl), publishing(dsl.mode, None)) if one)
    target, wanted = Target("app", None, wanted_name), {**after, "dsl": dsl.shown}
    return Action(
        Step(IMPORT, target, None, wanted, note=note),
        write=partial(dify.apps.import_dsl, text, name=name),
        read_back=read_back,
        look=lambda: {"made meanwhile": True} if new.has_more() else None,
        is_done=lambda found: found.state == after,
    )


def _filling(dsl: Dsl) -> str:
    """What an export took out does not come back by itself."""
    number = dsl.text.count(REMOVED)
    if not number:
        return ""
    return (
        f"the file holds {REMOVED} {number} times, where an export took secrets out: write them "
        "into it first, or into the app afterwards"
    )


def _publishing(mode: str, app_id: str | None) -> str:
    """What is left to do after an import, for the modes that run what is published."""
    if mode == AGENT:
        return "Dify publishes nothing: publish the agent in Dify"
    if mode not in WITH_DRAFT:
        return ""
    return f"Dify publishes nothing: `dify-etl apps publish {app_id or 'ID'}` publishes the draft"


def overwrite_operation(
    operator: Operator, text: str, *, where: str, app: str, name: str | None = None
) -> Operation:
    """One step: the draft of an existing workflow or chatflow becomes what the DSL says.

    Its description and icon become the DSL's too; its name stays, or becomes `name`. What is
    published stays.
    """
    dify, found = operator.dify, found_app(operator.dify, app)
    # Dify takes the name in the DSL unless another is sent.
    wanted_name = name or found.name
    dsl = stable_dsl(text, where=where, name=wanted_name)
    _check_overwritable(found, dsl, where)

    def look() -> State:
        held = exported_dsl(dify, found)
        shown = _WITHOUT_DRAFT if held is None else stable_dsl(held, where=_dsl_of(found)).shown
        return {"dsl": shown, **(state_of(dify, found.app_id, ["name"]) or {})}

    before = look()
    after: State = {"dsl": dsl.shown, "name": wanted_name}

    def is_done(seen: Found) -> bool:
        # Dify tells the DSL in its own words and version; that it moved is what can be seen.
        state = seen.state or {}
        return state != before and state.get("name") == wanted_name

    note = "; ".join(one for one in (_filling(dsl), _publishing(found.mode, found.app_id)) if one)
    if found.workflow_id is not None:
        note = f"what is published stays; {note}"
    action = Action(
        Step(OVERWRITE, target_of(found), before, after, note=note),
        write=partial(dify.apps.import_dsl, text, app_id=found.app_id, name=wanted_name),
        read_back=lambda answer: Found(
            look(), found.app_id, import_message(answer, _publishing(found.mode, found.app_id))
        ),
        look=look,
        is_done=is_done,
    )
    return operator.operation(OVERWRITE, [action], ())


def _check_overwritable(found: App, dsl: Dsl, where: str) -> None:
    if found.mode not in WITH_DRAFT:
        raise InputWrong(
            f"{found.name!r} is of mode {found.mode}; Dify overwrites workflows and chatflows only",
            where=where,
            hint="Import it as a new app, or change the model configuration: "
            "`dify-etl apps update --model-config`.",
        )
    if found.mode != dsl.mode:
        raise InputWrong(
            f"{found.name!r} is of mode {found.mode}, the DSL of mode {dsl.mode}",
            where=where,
            hint="Import it as a new app instead.",
        )


def import_message(answer: Answer, left: str = "") -> str:
    """What Dify says of an import whose DSL is of another version than its own, and what is left
    to do.
    """
    done: DslImport | None = None if answer is None else answer.value
    if done is None or done.imported_dsl_version == done.current_dsl_version:
        return left
    versions = f"{done.imported_dsl_version or 'unknown'}, Dify writes {done.current_dsl_version}"
    told = f"the DSL is of version {versions}: look at the app before you use it"
    return f"{told}; {left}" if left else told
