"""The audit file: private, whole after a crash, and without secrets."""

import multiprocessing
import stat
from datetime import UTC, datetime
from pathlib import Path

from dify_etl.operations.audit import AuditEntry, AuditFile, Signature
from dify_etl.operations.plan import Plan, Step, Target

AT = datetime(2026, 3, 12, 15, 30, tzinfo=UTC)


def entry(message: str = "", *, after: dict[str, str] | None = None) -> AuditEntry:
    step = Step("apps.update", Target("app", "id-1", "Bot"), {"name": "Bot"}, after)
    signed = Signature(Plan("apps", "https://dify.test", "w", (step,)), "ops@example.com")
    return signed.entry(1, "verified", at=AT, message=message, status=200)


def test_entry_comes_back_as_it_was(tmp_path: Path) -> None:
    """What is read is what was recorded, in that order."""
    file = AuditFile(tmp_path / "home" / "audit.jsonl")
    first, second = entry("one"), entry("two")
    file.record(first)
    file.record(second)
    assert file.entries() == (first, second)


def test_nobody_else_may_read_it(tmp_path: Path) -> None:
    """The file is the user's alone."""
    file = AuditFile(tmp_path / "audit.jsonl")
    file.record(entry())
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_half_a_line_takes_no_other_with_it(tmp_path: Path) -> None:
    """A process that died while writing costs its own line only."""
    file = AuditFile(tmp_path / "audit.jsonl")
    first, second = entry("one"), entry("two")
    file.record(first)
    with file.path.open("ab") as broken:
        broken.write(b'{"plan_id": "half')
    file.record(second)
    assert file.entries() == (first, second)


def test_no_file_is_no_entries(tmp_path: Path) -> None:
    """Before the first operation the audit is empty."""
    assert AuditFile(tmp_path / "audit.jsonl").entries() == ()


def test_several_processes_write_whole_lines(tmp_path: Path) -> None:
    """Nobody writes into anybody's line."""
    path = tmp_path / "audit.jsonl"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write_many, args=(path,)) for _ in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(AuditFile(path).entries()) == 2 * MANY
    assert len(path.read_bytes().splitlines()) == 2 * MANY


MANY = 25


def _write_many(path: Path) -> None:
    for _ in range(MANY):
        AuditFile(path).record(entry("x" * 2000))


def test_long_texts_and_secrets_are_not_kept() -> None:
    """A prompt stands as its length and hash, a secret not at all."""
    told = entry(after={"pre_prompt": "canary " * 100, "api_key": "canary"}).model_dump_json()
    assert "canary" not in told
    assert "700 characters, sha256" in told
