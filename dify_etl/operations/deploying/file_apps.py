"""The app of a file: as Dify has it, or yet to be made."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from dify_etl.dify.app_records import App
from dify_etl.operations.apps import target_of
from dify_etl.operations.deploying.folder import AppFile
from dify_etl.operations.errors import InputWrong, TargetUnknown
from dify_etl.operations.plan import Target

_ID = re.compile(r".*-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})", re.ASCII | re.DOTALL)


@dataclass
class FileApp:
    """A file, and its app in Dify: None before it is made. Its id is known from then on."""

    file: AppFile
    app: App | None
    made_id: str | None = None

    @property
    def app_id(self) -> str:
        """The id of the app. TargetUnknown before it is made."""
        found = self.app.app_id if self.app else self.made_id
        if found is None:
            raise TargetUnknown(
                f"there is no app {self.file.name!r} yet",
                where=self.file.where,
                hint="Deploy again: what was done stays.",
            )
        return found

    @property
    def target(self) -> Target:
        """The app, as the target of a step."""
        return target_of(self.app) if self.app else Target("app", None, self.file.name)


def apps_of(files: Sequence[AppFile], apps: Sequence[App]) -> list[FileApp]:
    """The app of each file: of the id that an export put into the file's name, else of the name in
    the file. InputWrong when that is no single app, or one of another mode.
    """
    found = [FileApp(file, _app_of(file, apps)) for file in files]
    by_id: dict[str, AppFile] = {}
    for one in found:
        if one.app is None:
            continue
        other = by_id.setdefault(one.app.app_id, one.file)
        if other is not one.file:
            raise _wrong(
                f"{one.file.path.name} and {other.path.name} are of one app, {one.app.name!r} "
                f"({one.app.app_id})",
                one.file,
                "One has its id in the file's name, the other its name inside: keep one of them.",
            )
    return found


def _app_of(file: AppFile, apps: Sequence[App]) -> App | None:
    named = [app for app in apps if app.name == file.name]
    told = _ID.fullmatch(file.path.stem)
    by_id = [app for app in apps if told and app.app_id == told[1]]
    found = by_id or named
    ids = ", ".join(app.app_id for app in named)
    if len(found) > 1:
        hint = f"Rename those that are not meant, or put the id into the file's name: {ids}."
        raise _wrong(f"Dify has {len(found)} apps called {file.name!r}", file, hint)
    if by_id and any(app.app_id != by_id[0].app_id for app in named):
        what = (
            f"the app with the id in the file's name would be the second one called {file.name!r}"
        )
        raise _wrong(what, file, f"Rename the other in Dify, or the app in the file: {ids}.")
    if found and found[0].mode != file.mode:
        what = f"the app {found[0].name!r} is of mode {found[0].mode}, the file of mode {file.mode}"
        hint = "Dify changes the mode of no app: rename one of the two, or delete the app."
        raise _wrong(what, file, hint)
    return found[0] if found else None


def _wrong(what: str, file: AppFile, hint: str) -> InputWrong:
    return InputWrong(what, where=file.where, hint=hint)
