"""A dotenv or JSON file as a sink: replaced in one step, with its owner, group, mode and ACL, and
every byte of other entries as it was. A new file has mode 0600.

What is pending and previous stands in a second file beside it, `.<name>.rotation.json`, so that
consumers of the first never see more than they ask for. The one step that makes a key current is
the replacement of the first file.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from dify_etl.dotenv_text import BOM, bindings_of, with_variable
from dify_etl.operations.keys.errors import SinkFailed
from dify_etl.operations.keys.sinks.protocol import Stage
from dify_etl.private_files import flock, replace_file, sweep_unfinished

Format = Literal["dotenv", "json"]
Kept = dict[str, dict[str, str]]


class FileSink:
    """`path` in a format; an entry is a variable of dotenv, or a key of the top level of JSON."""

    def __init__(self, path: Path, format: Format) -> None:
        self._path = path.expanduser().resolve()  # a link stays one: the file behind it changes
        self._format = format
        self._beside = self._path.with_name(f".{self._path.name}.rotation.json")

    def place(self, entry: str) -> str:
        """The entry, and the file behind all links."""
        return f"{entry} in {self._path}"

    def read(self, entry: str, stage: Stage) -> SecretStr | None:
        """What stands there. SinkFailed."""
        with self._named(entry):
            if stage == "current":
                self._check_owner(entry)  # a plan asks this before any key is made
                held = self._document(entry).get(entry)
            else:
                held = self._kept().get(entry, {}).get(stage)
        return None if held is None or held == "" else SecretStr(held)

    def stage(self, entry: str, key_id: str, token: SecretStr) -> None:
        """Keep the token beside the file."""
        with self._changing(entry):
            self._check_owner(entry)
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
        bindings = bindings_of(text)
        return {binding.key: binding.value for binding in bindings if binding.key}

    def _json(self, entry: str, text: str) -> dict[str, object]:
        try:
            held = json.loads(text.removeprefix(BOM) or "{}")
        except ValueError:
            held = None
        if not isinstance(held, dict):
            raise self._failed(entry, "the file is no JSON object")
        return held

    def _replace_value(self, entry: str, value: str) -> None:
        text = self._text()
        if self._format == "json":
            self._json(entry, text)
            text = with_member(text, entry, value)
        else:
            text = with_variable(text, entry, value)
        self._check_owner(entry)
        replace_file(self._path, text.encode(), keeps_rights=True)

    def _check_owner(self, entry: str) -> None:
        """SinkFailed when the new file could not belong to whom the old one does: its consumer
        could not read its key.
        """
        if not self._path.exists():
            return
        held = self._path.stat()
        is_ours = held.st_uid == os.geteuid() and held.st_gid in {os.getegid(), *os.getgroups()}
        if not is_ours and os.geteuid() != 0:
            raise self._failed(
                entry, "it belongs to another user or group, which a replacement could not keep"
            )

    def _text(self) -> str:
        try:
            return self._path.read_bytes().decode("utf-8")  # line ends stay as they are
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
        kept |= {entry: left} if left else {}
        replace_file(self._beside, json.dumps(kept).encode())

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
                flock(folder)
                for path in (self._path, self._beside):
                    sweep_unfinished(path)  # it holds every secret of the file
                yield
            finally:
                os.close(folder)

    def _failed(self, entry: str, what: str) -> SinkFailed:
        return SinkFailed(
            f"the file of keys cannot be used: {what}",
            where=f"{self._path}, entry {entry}",
            hint="Check the file, and that this account may read and replace it.",
        )


def with_member(text: str, name: str, value: str) -> str:
    """The same JSON object with one member of the top level changed, or added at its end.

    Of members with the same name the last counts for readers, so all are changed. Everything else
    stays byte for byte. `text` is a JSON object, or empty.
    """
    bom = BOM if text.startswith(BOM) else ""
    body = text.removeprefix(BOM)
    if not body.strip():
        return f"{bom}{{\n  {_quoted(name)}: {_quoted(value)}\n}}\n"
    spans, end = _members(body)
    own = [span for key, *span in spans if key == name]
    for start, stop in reversed(own):
        body = body[:start] + _quoted(value) + body[stop:]
    if own:
        return bom + body
    last = spans[-1][2] if spans else end
    comma = "," if spans else ""
    line_end = "\r\n" if "\r\n" in body else "\n"
    tail = body[last:] if spans else f"{line_end}}}" + body[end + 1 :]
    return f"{bom}{body[:last]}{comma}{line_end}  {_quoted(name)}: {_quoted(value)}{tail}"


def _members(body: str) -> tuple[list[tuple[str, int, int]], int]:
    """Name, begin and end of the value of each member of a JSON object, and where it closes."""
    decoder = json.JSONDecoder()
    at = _after_space(body, body.index("{") + 1)
    found: list[tuple[str, int, int]] = []
    while body[at] != "}":
        name, at = decoder.raw_decode(body, at)
        start = _after_space(body, _after_space(body, at) + 1)  # behind the colon
        _, stop = decoder.raw_decode(body, start)
        found.append((name, start, stop))
        at = _after_space(body, stop)
        if body[at] == ",":
            at = _after_space(body, at + 1)
    return found, at


def _after_space(body: str, at: int) -> int:
    while body[at] in " \t\r\n":
        at += 1
    return at


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
