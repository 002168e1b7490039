"""`DIFY_ETL_LOG=json`: a sync as lines for machines, and the run's id in all places."""

import json
import signal
import time
from typing import Any

from dify_etl_tests.cli.command_line import Shell
from dify_etl_tests.cli.small_servers import some_days_ago


def lines_of(text: str) -> list[dict[str, Any]]:
    """Every line is an object with the keys of all."""
    found = [json.loads(line) for line in text.splitlines()]
    for line in found:
        assert {"event", "level", "logger", "timestamp"} <= set(line)
    return found


def test_run_is_the_same_everywhere(shell: Shell) -> None:
    """Each line of the log and ops.runs; of the User-Agent tests of the session tell."""
    answer = shell.run("sync", DIFY_ETL_LOG="json")
    assert (answer.code, answer.err) == (0, "")
    lines = lines_of(answer.out)
    (run_id,) = {line["run_id"] for line in lines}
    assert shell.rows("SELECT DISTINCT run_id FROM ops.runs") == [(run_id,)]
    feeds = {line["feed"]: line for line in lines if line["event"] == "feed read"}
    assert feeds["messages"]["rows_new"] > 0
    assert (lines[-1]["event"], lines[-1]["is_whole"]) == ("sync ended", True)


def test_error_is_a_line_too(shell: Shell) -> None:
    """With what, where and what to do; also of a setting that is wrong."""
    for changed, code in (({"DIFY_PASSWORD": "wrong"}, 3), ({"DIFY_ETL_TEXT": "some"}, 2)):
        answer = shell.run("sync", DIFY_ETL_LOG="json", **changed)
        assert (answer.code, answer.err) == (code, "")
        last = lines_of(answer.out)[-1]
        assert last["level"] == "error"
        assert all(last[key] for key in ("kind", "event", "where", "what_to_do"))


def test_sigterm_stops_a_sync_as_ctrl_c_does(shell: Shell) -> None:
    """systemd and containers send it: what was committed is kept, exit code 130."""
    sync = shell.start("sync", DIFY_ETL_LOG="json", DIFY_ETL_MAX_CONCURRENCY="1")
    assert sync.stdout is not None
    while "feed read" not in sync.stdout.readline():
        assert sync.poll() is None
    sync.send_signal(signal.SIGTERM)
    began = time.monotonic()
    _, err = sync.communicate(timeout=60)
    assert sync.returncode == 130
    assert "What was committed is kept" in err
    assert "Traceback" not in err
    assert time.monotonic() - began < 30
    assert shell.run("sync", DIFY_ETL_START_DATE=some_days_ago(3)).code == 0
