"""A dotenv or JSON file as a sink: mode 0600, replaced as a whole, other entries untouched.

What is pending and previous stands in a second file beside it, `.<name>.rotation.json`, so that
consumers of the first never see more than they ask for. The one step that makes a key current is
the replacement of the first file.
"""

import fcntl
import json
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import StringIO
from pathlib import Path
from typing import Literal

from dotenv.parser import Binding, parse_stream
from pydantic import SecretStr

from dify_etl.management.rotation.errors import SinkFailed
from dify_etl.management.rotation.sinks.protocol import Stage

Format = Literal["dotenv", "json"]
Kept = dict[str, dict[str, str]]


class FileSink:
    """`path` in a format; an entry is a variable of dotenv, or a key of the top level of JSON."""

    def __init__(self, path: Path, format: Format) -> None:
        self._path = path.expanduser().resolve()  # a link stays one: the file behind it changes
        self._format = format
        self._beside = self._path.with_name(f".{self._path.name}.rotation.json")

    def read(self, entry: str, stage: Stage) -> SecretStr | None:
        """What stands there. SinkFailed."""
        with self._named(entry):
            if stage == "current":
                held = self._document(entry).get(entry)
            else:
                held = self._kept().get(entry, {}).get(stage)
        return None if held is None or held == "" else SecretStr(held)

    def stage(self, entry: str, key_id: str, token: SecretStr) -> None:
        """Keep the token beside the file."""
        with self._changing(entry):
            self._keep(entry, pending=token.get_secret_value())

    def promote(self, entry: str, key_id: str) -> None:
        """Note what is current as previous, then replace the file."""
        with self._changing(entry):
            pending = self._kept().get(entry, {}).get("pending")
            if pending is None:
                raise self._failed(entry, "nothing is pending")
            current = self._document(entry).get(entry)
            if current != pending:
                self._keep(entry, pending=pending, previous=current)
                self._replace_value(entry, pending)
            self._keep(entry, pending=None)

    def restore(self, entry: str) -> None:
        """Replace the file by one with the previous value."""
        with self._changing(entry):
            previous = self._kept().get(entry, {}).get("previous")
            if previous is None:
                raise self._failed(entry, "there is no previous value")
            self._replace_value(entry, previous)

    def discard(self, entry: str) -> None:
        """Forget what is pending."""
        with self._changing(entry):
            self._keep(entry, pending=None)

    def _document(self, entry: str) -> dict[str, str | None]:
        text = self._text()
        if self._format == "json":
            held = self._json(entry, text)
            value = held.get(entry)
            if value is not None and not isinstance(value, str):
                raise self._failed(entry, "the value there is no text")
            return {entry: value} if entry in held else {}
        return {binding.key: binding.value for binding in _bindings(text) if binding.key}

    def _json(self, entry: str, text: str) -> dict[str, object]:
        try:
            held = json.loads(text or "{}")
        except ValueError:
            held = None
        if not isinstance(held, dict):
            raise self._failed(entry, "the file is no JSON object")
        return held

    def _replace_value(self, entry: str, value: str) -> None:
        text = self._text()
        if self._format == "json":
            held = {**self._json(entry, text), entry: value}
            text = json.dumps(held, indent=2, ensure_ascii=False) + "\n"
        else:
            text = _with_variable(text, entry, value)
        _write_private(self._path, text)

    def _text(self) -> str:
        try:
            return self._path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""

    def _kept(self) -> Kept:
        try:
            kept: Kept = json.loads(self._beside.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        return kept

    def _keep(self, entry: str, **changes: str | None) -> None:
        kept = self._kept()
        stages = {**kept.pop(entry, {}), **changes}
        left = {stage: value for stage, value in stages.items() if value is not None}
        _write_private(self._beside, json.dumps({**kept, **({entry: left} if left else {})}))

    @contextmanager
    def _named(self, entry: str) -> Iterator[None]:
        if self._format == "dotenv" and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", entry):
            raise self._failed(entry, "this is no name of a variable")
        try:
            yield
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it cannot be parsed"
            raise self._failed(entry, f"{reason}") from None

    @contextmanager
    def _changing(self, entry: str) -> Iterator[None]:
        """Only one process changes the file; others of this program wait."""
        with self._named(entry):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                fcntl.flock(folder, fcntl.LOCK_EX)
                yield
            finally:
                os.close(folder)

    def _failed(self, entry: str, what: str) -> SinkFailed:
        return SinkFailed(
            f"the file of keys cannot be used: {what}",
            where=f"{self._path}, entry {entry}",
            hint="Check the file, and that this account may read and replace it.",
        )


def _bindings(text: str) -> list[Binding]:
    return list(parse_stream(StringIO(text)))


def _with_variable(text: str, name: str, value: str) -> str:
    """The same file with one variable changed, or added at the end; comments stay."""
    line = f"{name}={value}\n"
    bindings = _bindings(text)
    # For readers the last of several wins, so all are changed.
    out = "".join(
        _lead(one.original.string) + line if one.key == name else one.original.string
        for one in bindings
    )
    if any(one.key == name for one in bindings):
        return out
    return out + ("" if not out or out.endswith("\n") else "\n") + line


def _lead(binding: str) -> str:
    """What stands before the name: blank lines, and `export` where the file has it."""
    found = re.match(r"\s*(export\s+)?", binding)
    return found.group(0) if found else ""


def _write_private(path: Path, text: str) -> None:
    """Replace a file in one step by one of mode 0600; it is on the disk when this returns."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(name)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
