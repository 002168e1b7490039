"""The DSL files of a folder: which are apps, what is left alone, and what cannot be deployed."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dify_etl.dify.app_writes import LONGEST_NAME
from dify_etl.operations.apps import AGENT
from dify_etl.operations.apps import MODES as MADE_MODES
from dify_etl.operations.dsl import app_document, parsed_yaml
from dify_etl.operations.errors import InputWrong
from dify_etl.operations.files import read_text

SUFFIXES = (".yml", ".yaml")
MODES = (*MADE_MODES, AGENT)
_VERSION = re.compile(r"[0-9]+(\.[0-9]+)*", re.ASCII)


@dataclass(frozen=True)
class AppFile:
    """A DSL file: the app's name and mode, the text as it is, and what it holds."""

    path: Path
    text: str = field(repr=False)
    document: dict[str, Any] = field(repr=False)

    @property
    def where(self) -> str:
        """The file, for messages."""
        return str(self.path)

    @cached_property
    def name(self) -> str:
        """The app's name."""
        return str(self.document["app"]["name"])

    @cached_property
    def mode(self) -> str:
        """The app's mode."""
        return str(self.document["app"]["mode"])


@dataclass(frozen=True)
class AppFolder:
    """The apps of a folder, by file name; `left_alone`: what else is in it, in words."""

    files: tuple[AppFile, ...]
    left_alone: tuple[str, ...]


def read_folder(folder: Path) -> AppFolder:
    """All DSL files directly in a folder. Links and folders in it are not followed.

    InputWrong, and nothing of Dify was asked: the folder cannot be read or holds no app, a file is
    broken (with its line), or two files are of one app.
    """
    files: list[AppFile] = []
    left_alone: list[str] = []
    for path in _entries(folder):
        reason = _reason_to_leave(path)
        found = None if reason else _app_file(path)
        if found is not None:
            files.append(found)
        else:
            left_alone.append(f"{path.name} is left alone: {reason or 'it is no DSL of an app'}")
    if not files:
        raise _wrong("the folder holds no DSL of an app", folder, "Name a folder of DSL files.")
    _check_once(files, folder)
    return AppFolder(tuple(files), tuple(left_alone))


def _entries(folder: Path) -> list[Path]:
    """What is in a folder and not hidden, by name."""
    try:
        found = sorted(folder.iterdir(), key=lambda path: path.name)
    except OSError as error:
        what = f"the folder cannot be read: {error.strerror}"
        raise _wrong(what, folder, "Name a folder of DSL files.") from None
    return [path for path in found if not path.name.startswith(".")]


def _reason_to_leave(path: Path) -> str:
    if path.is_symlink():
        return "it is a link"
    if not path.is_file():
        return "it is a folder"
    return "" if path.suffix.lower() in SUFFIXES else "it is no YAML"


def _app_file(path: Path) -> AppFile | None:
    """The app of a file; None when its YAML is of something else. InputWrong when it is broken."""
    text = read_text(path, hint="Correct the file, or take it out of the folder.")
    if not _is_app(parsed_yaml(text, str(path))):
        return None
    found = AppFile(path, text, app_document(text, str(path)))
    _check(found)
    return found


def _is_app(document: Any) -> bool:
    """Of a file without `kind`, as the oldest have none, an app with a mode tells."""
    if not isinstance(document, dict):
        return False
    app = document.get("app")
    has_mode = isinstance(app, dict) and "mode" in app
    return document.get("kind") == "app" or ("kind" not in document and has_mode)


def _check(file: AppFile) -> None:
    """InputWrong for what every Dify refuses, or answers 500 to."""
    version = file.document.get("version", "0.1.0")
    if not isinstance(version, str) or not _VERSION.fullmatch(version):
        what = f"its version {version!r} is no text such as 0.5.0"
        raise _wrong(what, file.path, "Put it into quotes, as an export has it.")
    if file.mode not in MODES:
        hint = f"Modes: {', '.join(MODES)}."
        raise _wrong(f"{file.mode!r} is no mode of an app", file.path, hint)
    if not file.name.strip() or len(file.name) > LONGEST_NAME:
        what = f"an app's name has 1 to {LONGEST_NAME} characters, not {len(file.name)}"
        raise _wrong(what, file.path, "Give another name under app.")


def _check_once(files: Iterable[AppFile], folder: Path) -> None:
    by_name: defaultdict[str, list[str]] = defaultdict(list)
    for file in files:
        by_name[file.name].append(file.path.name)
    for name, paths in by_name.items():
        if len(paths) > 1:
            raise _wrong(
                f"{' and '.join(paths)} are of one app, {name!r}",
                folder,
                "Keep one of them, or give the app in the other another name.",
            )


def _wrong(what: str, path: Path, hint: str) -> InputWrong:
    return InputWrong(what, where=str(path), hint=hint)
