"""Apps as files: export the DSL of one or all, make an app of a file or overwrite one."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dify_etl.dify.app_records import App
from dify_etl.dify.app_writes import DslImport
from dify_etl.dify.client import DifyClient
from dify_etl.dify.errors import DifyError
from dify_etl.management.applying import Action, Answer, Found, Operation, Operator
from dify_etl.management.apps import NewApps, check_no_twin, found_app, state_of, target_of
from dify_etl.management.dsl import stable_dsl
from dify_etl.management.errors import InputWrong
from dify_etl.management.files import read_text
from dify_etl.management.plan import Step, Target
from dify_etl.management.publishing import MODES as WITH_DRAFT
from dify_etl.management.redaction import State

IMPORT, OVERWRITE = "apps.import", "apps.import_over"
SUFFIX = ".yml"
LONGEST_STEM = 60
ID_LENGTH = 8


@dataclass(frozen=True)
class Export:
    """The files of a folder after an export: what each app became, and what belongs to none."""

    written: tuple[Path, ...]
    unchanged: tuple[Path, ...]
    failed: tuple[tuple[str, str], ...]  # app, reason
    strays: tuple[Path, ...] = ()


def file_name(app: App) -> str:
    """`support-bot-8a1cf00d.yml`: readable, and the app's own whatever it is called."""
    stem = re.sub(r"[^\w]+", "-", app.name.lower()).strip("-")[:LONGEST_STEM] or "app"
    return f"{stem}-{app.app_id[:ID_LENGTH]}{SUFFIX}"


def export_apps(dify: DifyClient, apps: Sequence[App], folder: Path, *, is_all: bool) -> Export:
    """Write the stable DSL of each app, without secrets, where it differs from the file there.

    A renamed app takes its file along. With `is_all`, files of apps that are gone are named; none
    is deleted. InputWrong when the folder cannot be written.
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
    for app in apps:
        try:
            text = stable_dsl(dify.apps.export_dsl(app.app_id), where=f"DSL of {app.name}").text
        except (DifyError, InputWrong) as error:
            failed.append((app.name, str(error)))
            continue
        path = folder / file_name(app)
        for old in folder.glob(f"*-{app.app_id[:ID_LENGTH]}{SUFFIX}"):
            if old != path:
                old.replace(path)
        is_same = path.exists() and path.read_bytes() == text.encode()
        if not is_same:
            path.write_bytes(text.encode())
        (unchanged if is_same else written).append(path)
    own = {app.app_id[:ID_LENGTH] for app in apps}
    strays = [path for path in sorted(folder.glob(f"*{SUFFIX}")) if _id_of(path) not in own]
    return Export(tuple(written), tuple(unchanged), tuple(failed), tuple(strays if is_all else ()))


def _id_of(path: Path) -> str:
    return path.stem.rpartition("-")[2]


def read_dsl(path: Path) -> str:
    """The text of a file. InputWrong when it cannot be read."""
    return read_text(path, hint="Name a DSL file.")


def import_operation(
    operator: Operator, text: str, *, where: str, name: str | None = None, is_twin_wanted: bool
) -> Operation:
    """One step: a new app of this DSL, called as the DSL says or `name`."""
    dify, dsl = operator.dify, stable_dsl(text, where=where)
    wanted_name = name or dsl.name
    check_no_twin(dify, wanted_name, is_wanted=is_twin_wanted)
    new = NewApps(dify, wanted_name, dsl.mode)
    after: State = {"name": wanted_name, "mode": dsl.mode, "description": dsl.description}

    def read_back(answer: Answer) -> Found:
        app_id = answer.value.app_id if answer else new.made()
        message = _told(answer)
        state = None if app_id is None else state_of(dify, app_id, list(after))
        return Found(state, app_id, message)

    step = Step(IMPORT, Target("app", None, wanted_name), None, {**after, "dsl": dsl.shown})
    action = Action(
        step,
        write=partial(dify.apps.import_dsl, text, name=name),
        read_back=read_back,
        look=lambda: {"made meanwhile": True} if new.has_more() else None,
        is_done=lambda found: found.state == after,
    )
    return operator.operation(IMPORT, [action], ())


def overwrite_operation(operator: Operator, text: str, *, where: str, app: str) -> Operation:
    """One step: the draft of an existing workflow or chatflow becomes what the DSL says."""
    dify, dsl, found = operator.dify, stable_dsl(text, where=where), found_app(operator.dify, app)
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

    def look() -> State:
        held = dify.apps.export_dsl(found.app_id)
        return {"dsl": stable_dsl(held, where=f"DSL of {found.name}").shown}

    before = look()
    step = Step(OVERWRITE, target_of(found), before, {"dsl": dsl.shown})
    action = Action(
        step,
        write=partial(dify.apps.import_dsl, text, app_id=found.app_id),
        read_back=lambda answer: Found(look(), found.app_id, _told(answer)),
        look=look,
        # Dify tells the DSL in its own words and version; that it moved is what can be seen.
        is_done=lambda after: after.state != before,
    )
    return operator.operation(OVERWRITE, [action], ())


def _told(answer: Answer) -> str:
    """What Dify says of an import whose DSL is of another version than its own."""
    if answer is None:
        return ""
    done: DslImport = answer.value
    if done.imported_dsl_version == done.current_dsl_version:
        return ""
    versions = f"{done.imported_dsl_version or 'unknown'}, Dify writes {done.current_dsl_version}"
    return f"the DSL is of version {versions}: look at the app before you use it"
