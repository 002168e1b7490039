"""Answer `dify-etl` at a terminal of its own, as a person does."""

import os
import pty
import sys
import time

from dify_etl_tests.cli.command_line import Answer, Shell

CTRL_C, CTRL_D, ENTER = "\x03", "\x04", "\n"
SECONDS = 60
READING_SECONDS = 0.1


def at_a_terminal(shell: Shell, *words: str, dialogue: list[tuple[str, str]]) -> Answer:
    """What a terminal shows of a command when its questions are answered in this order, and its
    exit code. An answer is sent as it is: with ENTER, or a key such as CTRL_C alone.
    """
    pid, master = pty.fork()
    if pid == 0:
        os.chdir(shell.folder)
        # A process that neither ends nor asks ends after a while, and the test is red.
        alarm = (
            f"import os, signal, sys; signal.alarm({SECONDS}); os.execv(sys.argv[1], sys.argv[1:])"
        )
        command = [sys.executable, "-c", alarm, *shell.command, *words]
        os.execve(command[0], command, shell.environment(TERM="dumb"))
    seen = ""
    for question, answer in dialogue:
        already = len(seen)
        while question not in seen[already:]:
            if not (chunk := _read(master)):
                break
            seen += chunk
        # A person has to read the question first. Ctrl-C between its print and the read that
        # follows is noted, and interrupts nothing until the next key: 14 of 60 at once, none of 60
        # after this time.
        time.sleep(READING_SECONDS)
        os.write(master, answer.encode())
    while chunk := _read(master):
        seen += chunk
    os.close(master)
    return Answer(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen, "")


def _read(master: int) -> str:
    try:
        return os.read(master, 65_536).decode()
    except OSError:  # Linux says EIO when the last writer is gone
        return ""
