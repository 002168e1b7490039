"""Nobody gets the simulated Dify without a word, and every run says first which Dify it reads."""

from pathlib import Path

import pytest

from dify_etl_tests.cli.command_line import ServedDify, Shell

RUNS = (
    ("sync", "--feed", "apps"),
    ("doctor",),
    ("apps", "list"),
    ("apps", "export", "--all", "--to", "dsl"),
    ("members", "list"),
    ("keys", "list"),
    ("indexing", "list", "--look-again", "0"),  # else it looks twice, ten seconds apart
    ("quarantine", "retry"),
)


@pytest.mark.parametrize("words", [*RUNS, ("dev", "--port", "1")], ids=" ".join)
def test_missing_environment_is_no_simulated_dify(tmp_path: Path, words: tuple[str, ...]) -> None:
    """As cron runs it, in another folder: an error, and neither rows nor files."""
    answer = Shell(tmp_path).run(*words, COLUMNS="400")  # no path is folded
    assert answer.code in (1, 2), answer.text
    assert "DIFY_BASE_URL is not set" in answer.text
    assert str(tmp_path / ".env") in answer.text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", RUNS, ids=" ".join)
def test_first_line_names_server_workspace_and_home(
    own_copy: Shell, dify: ServedDify, words: tuple[str, ...]
) -> None:
    """Whoever reads a log sees what was read, and where to."""
    answer = own_copy.run(*words, COLUMNS="240")
    first = (answer.err or answer.out).splitlines()[0]
    workspace = dify.world.workspaces[dify.world.workspace_id].name
    assert first.startswith(f"{dify.base_url}, workspace {workspace!r}"), answer.text
    assert first.endswith(f"home {own_copy.home}")


def test_simulated_is_told_by_an_option(own_copy: Shell) -> None:
    """Whatever server is set; in a home of its own."""
    answer = own_copy.run("apps", "list", "--simulated")
    assert answer.code == 0, answer.text
    assert answer.err.startswith("the simulated Dify")
    assert answer.err.strip().endswith(f"home {own_copy.home / 'demo'}")
