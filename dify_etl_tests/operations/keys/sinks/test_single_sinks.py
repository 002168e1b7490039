"""What is special about one kind of sink."""

import logging
import os
import stat
import sys
import uuid
from pathlib import Path
from typing import Literal

import pytest
from pydantic import SecretStr

from dify_etl.operations.keys.errors import SinkFailed
from dify_etl.operations.keys.sinks.aws import AwsSink
from dify_etl.operations.keys.sinks.command import CommandSink, shown_environment
from dify_etl.operations.keys.sinks.configs import AwsSinkConfig, VaultSinkConfig
from dify_etl.operations.keys.sinks.file import FileSink
from dify_etl.operations.keys.sinks.opening import open_sink
from dify_etl.operations.keys.sinks.protocol import SecretSink
from dify_etl.operations.keys.sinks.vault import VaultSink
from dify_etl_tests.operations.keys.sinks.conftest import OpenSink
from dify_etl_tests.operations.keys.sinks.vault_stand_in import VaultStandIn

NEW = SecretStr("app-new4567890123456789012")


def rotate(sink: SecretSink, entry: str) -> None:
    key = str(uuid.uuid4())
    sink.stage(entry, key, NEW)
    sink.promote(entry, key)


def test_dotenv_keeps_every_other_line(dotenv_sink: OpenSink, tmp_path: Path) -> None:
    """Comments, order and other variables stay as they were; `export` too."""
    rotate(dotenv_sink.sink, dotenv_sink.entry)
    text = (tmp_path / "bot.env").read_text()
    key = NEW.get_secret_value()
    assert text == f"# of the bot\nHOST=x\nexport DIFY_KEY={key}  # rotated\nPORT=1\n"


def test_json_keeps_every_other_key(json_sink: OpenSink, tmp_path: Path) -> None:
    """Other keys keep values and order."""
    rotate(json_sink.sink, json_sink.entry)
    text = (tmp_path / "bot.json").read_text()
    assert text.index('"host"') < text.index(NEW.get_secret_value()) < text.index('"ports"')


def test_files_are_private(tmp_path: Path) -> None:
    """A new file, and the one beside it, are for their owner alone."""
    sink = FileSink(tmp_path / "new.env", "dotenv")
    rotate(sink, "KEY")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o600}
    assert len(list(tmp_path.iterdir())) == 2


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """The file behind a symbolic link changes, not the link."""
    real, link = tmp_path / "real.env", tmp_path / "link.env"
    real.write_text("KEY=old\n")
    link.symlink_to(real)
    rotate(FileSink(link, "dotenv"), "KEY")
    assert link.is_symlink()
    assert NEW.get_secret_value() in real.read_text()


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A file that is no JSON object stops the rotation with its path, without its content."""
    path = tmp_path / "bad.json"
    path.write_text("app-somebodys-key")
    with pytest.raises(SinkFailed, match=r"bad\.json") as caught:
        FileSink(path, "json").read("key", "current")
    assert "somebodys" not in str(caught.value)


def test_a_failing_command_says_nothing_of_what_it_printed() -> None:
    """Exit code and operation are told; the output, which may hold a key, is not."""
    script = "import sys; print(sys.stdin.read()); print('app-x', file=sys.stderr); sys.exit(3)"
    sink = CommandSink((sys.executable, "-c", script))
    with pytest.raises(SinkFailed, match="exit code 3") as caught:
        sink.stage("bot", "key-1", NEW)
    assert "app-" not in str(caught.value)


def test_a_command_does_not_inherit_our_password(monkeypatch: pytest.MonkeyPatch) -> None:
    """The account's password stays with us."""
    monkeypatch.setenv("DIFY_PASSWORD", "ours")
    script = "import os; print('DIFY_PASSWORD' in os.environ)"
    held = CommandSink((sys.executable, "-c", script)).read("bot", "current")
    assert held is not None
    assert held.get_secret_value() == "False"


def test_a_hanging_command_is_stopped() -> None:
    """A program without an end does not hold the rotation for ever."""
    script = "import time; time.sleep(60)"
    sink = CommandSink((sys.executable, "-c", script), timeout_seconds=0.2)
    with pytest.raises(SinkFailed, match="no end"):
        sink.read("bot", "current")


def test_a_secret_without_a_value_is_refused(aws_sink: OpenSink) -> None:
    """AWS would make the first version current at once, so staging there is refused."""
    with pytest.raises(SinkFailed, match="ResourceNotFoundException"):
        aws_sink.sink.stage("dify/missing", str(uuid.uuid4()), NEW)


def test_staging_the_same_key_twice_makes_one_version(aws_sink: OpenSink) -> None:
    """The key's id is the version's id: a repetition is none."""
    key = str(uuid.uuid4())
    aws_sink.sink.stage(aws_sink.entry, key, NEW)
    aws_sink.sink.stage(aws_sink.entry, key, NEW)
    found = aws_sink.sink.read(aws_sink.entry, "pending")
    assert found == NEW


def test_botocore_logs_no_key(aws_sink: OpenSink, caplog: pytest.LogCaptureFixture) -> None:
    """At DEBUG botocore would log requests whole; opening the sink prevents that."""
    with caplog.at_level(logging.DEBUG):
        rotate(aws_sink.sink, aws_sink.entry)
    assert NEW.get_secret_value() not in caplog.text


def test_a_missing_profile_is_told() -> None:
    """What boto3 lacks is named."""
    with pytest.raises(SinkFailed, match="ProfileNotFound"):
        open_sink(AwsSinkConfig(type="aws", profile="no-such-profile"))


def test_other_fields_of_a_vault_entry_stay(
    vault: tuple[VaultStandIn, str], vault_sink: OpenSink
) -> None:
    """Only the key's field changes, also when somebody changes another one in between."""
    stand_in, _ = vault
    rotate(vault_sink.sink, vault_sink.entry)
    latest = stand_in.versions["dify/bot"][-1]
    stand_in.versions["dify/bot"].append({**latest, "other": "changed"})
    vault_sink.sink.restore(vault_sink.entry)
    assert stand_in.versions["dify/bot"][-1] == {"api_key": "old", "other": "changed"}
    assert "dify/bot-pending" not in stand_in.versions


def test_vault_refuses_a_write_over_a_newer_version(
    vault: tuple[VaultStandIn, str], vault_sink: OpenSink
) -> None:
    """Check-and-set: what somebody wrote between our read and our write is not overwritten."""
    stand_in, _ = vault

    class Intruding(dict[str, list[dict[str, str]]]):
        """Adds a version whenever one was read."""

        def get(self, path: str, default: object = None) -> list[dict[str, str]]:
            held = super().get(path, [])
            read = list(held)
            if path == "dify/bot":
                held.append({"api_key": "somebody's"})
            return read

    key = str(uuid.uuid4())
    vault_sink.sink.stage(vault_sink.entry, key, NEW)
    stand_in.versions = Intruding(stand_in.versions)
    with pytest.raises(SinkFailed, match="somebody else changed"):
        vault_sink.sink.promote(vault_sink.entry, key)


def test_vault_without_a_token_says_where_it_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names VAULT_TOKEN and token_file."""
    monkeypatch.delenv("VAULT_TOKEN", raising=False)
    with pytest.raises(SinkFailed, match="VAULT_TOKEN"):
        open_sink(VaultSinkConfig(type="vault", url="http://127.0.0.1:1"))


def test_a_wrong_vault_token_is_a_clear_error(
    vault: tuple[VaultStandIn, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refusal names its kind and never the token."""
    monkeypatch.setenv("VAULT_TOKEN", "wrong-vault-token")
    sink = open_sink(VaultSinkConfig(type="vault", url=vault[1]))
    with pytest.raises(SinkFailed, match="Forbidden") as caught:
        sink.read("dify/bot", "current")
    assert "wrong-vault-token" not in str(caught.value)


@pytest.mark.parametrize(
    ("format", "before", "after"),
    [
        (
            "json",
            '{"a":1.10,"KEY":"old","KEY":"older","b":[ 1,2 ]}',
            '{"a":1.10,"KEY":"%s","KEY":"%s","b":[ 1,2 ]}',
        ),
        (
            "json",
            '\ufeff{\r\n  "a": 1e400\r\n}\r\n',
            '\ufeff{\r\n  "a": 1e400,\r\n  "KEY": "%s"\r\n}\r\n',
        ),
        ("json", "{}", '{\n  "KEY": "%s"\n}'),
        ("json", "", '{\n  "KEY": "%s"\n}\n'),
        ("dotenv", "\ufeffA=1\r\nKEY=old\r\n", "\ufeffA=1\r\nKEY=%s\r\n"),
        ("dotenv", "A='x y' # why\n", "A='x y' # why\nKEY=%s\n"),
    ],
)  # fmt: skip
def test_every_other_byte_stays(
    tmp_path: Path, format: Literal["json", "dotenv"], before: str, after: str
) -> None:
    """Numbers, duplicates, byte order mark, line ends and spaces of others are not touched."""
    path = tmp_path / "keys"
    path.write_bytes(before.encode())
    rotate(FileSink(path, format), "KEY")
    assert path.read_bytes().decode() == after.replace("%s", NEW.get_secret_value())


def test_owner_group_and_mode_stay(tmp_path: Path) -> None:
    """The consumer, another user, can read its key after the file was replaced."""
    path = tmp_path / "bot.env"
    path.write_text("KEY=old\n")
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 12345, 23456)
    before = path.stat()
    rotate(FileSink(path, "dotenv"), "KEY")
    after = path.stat()
    held = (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode))
    assert held == (before.st_uid, before.st_gid, 0o640)


def test_program_sees_no_secret_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of Vault and AWS reach a program only when the policy names them."""
    for name in ("VAULT_TOKEN", "AWS_SECRET_ACCESS_KEY", "DIFY_PASSWORD", "MINE"):
        monkeypatch.setenv(name, "geheim")
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    assert "geheim" not in shown_environment().values()
    assert shown_environment()["LC_ALL"] == "C.UTF-8"
    assert shown_environment(["MINE"])["MINE"] == "geheim"


@pytest.mark.parametrize(
    "entry",
    ["bots/../../sys/raw#key", "bots/..#key", "a//b#key", "a/b#x#y", "a?list=true#key", "#key"],
)  # fmt: skip
def test_vault_entry_leads_nowhere_else(entry: str) -> None:
    """A way up, an empty segment or a character with a meaning in URLs is refused unasked."""
    sink = VaultSink(object(), "secret")
    with pytest.raises(SinkFailed, match="is no segment of a path or name of a field"):
        sink.read(entry, "current")


def test_aws_name_is_a_name() -> None:
    """A name that AWS knows none of is refused unasked."""
    with pytest.raises(SinkFailed, match="no name or ARN"):
        AwsSink(object()).read("bots\nother", "current")


def test_what_a_killed_replacement_left_is_swept(tmp_path: Path) -> None:
    """It holds every secret of the file; what somebody else keeps beside it stays."""
    file = tmp_path / "keys.env"
    file.write_text("WEB=old\n")
    stray, mine = tmp_path / ".keys.env.dify-etl-a1b2c3d4", tmp_path / ".keys.env.original"
    for path in (stray, mine):
        path.write_text("WEB=old\n")
    FileSink(file, "dotenv").stage("WEB", "id", SecretStr("app-new4567890123456789012"))
    assert not stray.exists()
    assert mine.exists()
