"""One command over several workspaces: a process for each, so that secrets and memory are apart.

Workspaces of one server come one after another, servers beside one another. One that fails, or is
killed, stops no other.
"""

import asyncio
import codecs
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape

from dify_etl.cli.clear_errors import (
    FAILED,
    FROM_GOOD_TO_BAD,
    INTERRUPTED,
    NOTHING_PUBLISHED,
    WRONG_USE,
    worst,
)
from dify_etl.cli.consoles import err, out, teller
from dify_etl.cli.json_answers import print_json
from dify_etl.cli.log_line import print_line
from dify_etl.cli.shown_tables import ShownTable
from dify_etl.settings import setting_names
from dify_etl.ui.process_tree import PATIENCE_SECONDS, prepare_child
from dify_etl.workspaces import WorkspaceTable, all_workspaces, environment_of

SERVERS_AT_ONCE = 8  # each takes the memory of a sync
LAST_WORDS_SECONDS = 5.0  # for what a process that is gone has still in its pipes
CHUNK_BYTES = 1 << 16
READ_IN_WORDS = {
    0: "good",
    FAILED: "not whole",
    NOTHING_PUBLISHED: "nothing published",
    WRONG_USE: "wrong usage or settings",
    INTERRUPTED: "interrupted",
}
LOOKED_AT_IN_WORDS = {**READ_IN_WORDS, FAILED: "to be looked at"}

Tell = Callable[[str], None]


@dataclass
class _Child:
    """A workspace, and how its process ended; without one it was never started."""

    name: str
    server: str
    answer: list[str] = field(default_factory=list)  # its stdout, where that is kept
    kept: list[Callable[[], None]] = field(default_factory=list)  # what is told at the end
    process: asyncio.subprocess.Process | None = None
    failure: str | None = None  # why it could not be started

    def code(self, failed: int) -> int:
        """Its exit code, one that the README tells; `failed` for a signal and for others."""
        if self.failure is not None:
            return failed
        if self.process is None or self.process.returncode is None:
            return INTERRUPTED
        code = self.process.returncode
        return code if code in FROM_GOOD_TO_BAD else failed

    def how(self, words: dict[int, str], failed: int) -> str:
        """How it ended, in words."""
        if self.failure is not None:
            return f"not started: {self.failure}"
        if self.process is None:
            return "not started"
        code = self.process.returncode or 0
        if code < 0:
            return f"killed by {signal.Signals(-code).name}"
        return words[self.code(failed)]

    @property
    def said(self) -> Any:
        """What it answered as JSON; None: nothing."""
        with suppress(ValueError):
            return json.loads("\n".join(self.answer))
        return None


@dataclass(frozen=True)
class _Voice:
    """Where the lines of the processes go."""

    out: Callable[[_Child], Tell]
    err: Callable[[_Child], Tell]
    asks_for_json: bool


def run_each(
    names: Sequence[str], context: typer.Context, *, has_log: bool, is_json: bool, as_lines: bool
) -> int:
    """Run the command of this context for each of these workspaces; answers the worst exit code.

    Every line begins with the workspace's name; in a log of JSON lines it is a key. At the end
    stands a table, or with `is_json` one object with what each answered. `has_log`: with `--json`
    the command still tells on stderr what it does, as `sync` does; of others the answers are shown
    when all have ended, in the order of the file.
    """
    tables = all_workspaces(setting_names())
    children = [_Child(name, tables[name].server) for name in names]
    voice = _voice(children, has_log=has_log, is_json=is_json, as_lines=as_lines)
    words = _words(context, adds_json=voice.asks_for_json and not is_json)
    asyncio.run(_Runs(children, tables, words, voice).to_the_end())
    for told in (line for one in children for line in one.kept):
        told()
    failed = NOTHING_PUBLISHED if has_log else FAILED
    ends = READ_IN_WORDS if has_log else LOOKED_AT_IN_WORDS
    code = worst(one.code(failed) for one in children)
    rows = [(one.name, one.code(failed), one.how(ends, failed), one) for one in children]
    if is_json:
        print_json(
            {
                "exit_code": code,
                "workspaces": [
                    {"workspace": name, "exit_code": ended, "how": how, "answer": one.said}
                    for name, ended, how, one in rows
                ],
            }
        )
    elif as_lines:
        for name, ended, how, _ in rows:
            level = "error" if ended else "info"
            print_line("workspace ended", level=level, workspace=name, exit_code=ended, how=how)
    else:
        _show(out, [(name, how, one.said) for name, _, how, one in rows], has_figures=has_log)
    return code


def _show(console: Console, rows: Sequence[tuple[str, str, Any]], *, has_figures: bool) -> None:
    """A line per workspace: how it ended and, of a sync, rows read, new ones, what waits."""
    table = ShownTable()
    table.add_column("workspace", no_wrap=True)
    table.add_column("how it ended", no_wrap=True)
    for heading in ("rows", "new", "in quarantine") if has_figures else ():
        table.add_column(heading, justify="right")
    for name, how, answer in rows:
        figures = _figures(answer) if has_figures else ()
        table.add_row(escape(name), escape(how), *figures)
    console.print(table)


def _figures(answer: Any) -> tuple[str, ...]:
    if not isinstance(answer, dict):
        return "", "", ""
    tables, verdict = answer["tables"], answer["verdict"]
    rows = sum(one["new"] + one["changed"] + one["unchanged"] for one in tables)
    waiting = verdict["in_quarantine"] + verdict["odd_rows"]
    return f"{rows:,}", f"{sum(one['new'] for one in tables):,}", f"{waiting:,}"


def _voice(children: Sequence[_Child], *, has_log: bool, is_json: bool, as_lines: bool) -> _Voice:
    if as_lines:
        return _Voice(lambda one: _as_line(one.name), lambda one: _as_line(one.name), False)
    width = max(len(one.name) for one in children)

    def prefixed(console: Console) -> Callable[[_Child], Tell]:
        def voice_of(one: _Child) -> Tell:
            def tell(line: str) -> None:
                told = partial(teller(console), f"{one.name:<{width}} | {line}".rstrip())
                told() if has_log else one.kept.append(told)  # no table is torn apart

            return tell

        return voice_of

    keeps = has_log or is_json
    return _Voice((lambda one: one.answer.append) if keeps else prefixed(out), prefixed(err), keeps)


def _as_line(name: str) -> Tell:
    """JSON lines pass as they are: they name their workspace; what else is said becomes one."""

    def tell(line: str) -> None:
        if line.startswith("{"):
            print(line, flush=True)
        elif line.strip():
            print_line(line, level="warning", workspace=name)

    return tell


def _words(context: typer.Context, *, adds_json: bool) -> list[str]:
    """The command with the options that it was given, but for the workspaces."""
    words: list[str] = []
    groups: Any = context
    while groups is not None and groups.parent is not None:  # the outermost is the program
        words.insert(0, groups.command.name or "")
        groups = groups.parent
    for option in context.command.params:
        name = option.name or ""
        source = context.get_parameter_source(name)  # Typer has had two homes of its kind
        if source is None or source.name != "COMMANDLINE" or name == "workspace":
            continue
        value = context.params[name]
        spelled = max(option.opts, key=len)
        if value is True:
            words.append(spelled)
        elif value is not False:
            for one in value if isinstance(value, list | tuple) else [value]:
                words.append(f"{spelled}={one}")
    return [*words, "--json"] if adds_json else words


class _Runs:
    """The processes, from the first to the last."""

    def __init__(
        self,
        children: Sequence[_Child],
        tables: Mapping[str, WorkspaceTable],
        words: Sequence[str],
        voice: _Voice,
    ) -> None:
        self._children = children
        self._tables = tables
        self._words = words
        self._voice = voice
        self._signals = 0

    async def to_the_end(self) -> None:
        """Start them all, each when its turn comes; a signal ends those that run, and the rest is
        not started.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._stop)
        room = asyncio.Semaphore(SERVERS_AT_ONCE)
        servers: dict[str, list[_Child]] = {}
        for one in self._children:
            servers.setdefault(one.server, []).append(one)
        await asyncio.gather(*(self._server(of_server, room) for of_server in servers.values()))

    async def _server(self, children: Sequence[_Child], room: asyncio.Semaphore) -> None:
        async with room:
            for one in children:
                if not self._signals:
                    await self._run(one)

    async def _run(self, child: _Child) -> None:
        environment = environment_of(child.name, self._tables)
        if sys.stderr.isatty():
            environment["COLUMNS"] = str(max(err.width - len(child.name) - 3, 80))
        try:
            child.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "dify_etl",
                *self._words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches us alone, who end it in order
                preexec_fn=prepare_child,
            )
        except OSError as error:
            child.failure = error.strerror or "no room"
            return
        process = child.process
        assert process.stdout is not None
        assert process.stderr is not None
        heard = asyncio.gather(
            _hear(process.stdout, self._voice.out(child)),
            _hear(process.stderr, self._voice.err(child)),
        )
        await process.wait()
        with suppress(TimeoutError):  # something that it started may hold the pipes
            await asyncio.wait_for(heard, LAST_WORDS_SECONDS)

    def _stop(self) -> None:
        self._signals += 1
        self._send(signal.SIGINT if self._signals == 1 else signal.SIGKILL)
        if self._signals == 1:
            later = asyncio.get_running_loop().call_later
            later(PATIENCE_SECONDS, lambda: self._send(signal.SIGKILL))

    def _send(self, number: int) -> None:
        for one in self._children:
            if one.process is not None and one.process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(one.process.pid, number)


async def _hear(stream: asyncio.StreamReader, tell: Tell) -> None:
    """Every line, as soon as it is whole, and the last one that has no end."""
    decoder, held = codecs.getincrementaldecoder(_encoding())("replace"), ""
    while chunk := await stream.read(CHUNK_BYTES):
        *lines, held = (held + decoder.decode(chunk)).split("\n")
        for line in lines:
            tell(line)
    if held:
        tell(held)


def _encoding() -> str:
    """In which a process of ours writes: it has the locale that we have."""
    return sys.stdout.encoding or "utf-8"
