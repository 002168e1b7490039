"""The policy file: what it means, and how clearly it refuses."""

import re
from datetime import timedelta
from pathlib import Path

import pytest

from dify_etl.operations.keys.errors import PolicyWrong
from dify_etl.operations.keys.policy import SINK_TYPES, Policy, read_policy
from dify_etl.operations.keys.sinks.configs import FileSinkConfig, VaultSinkConfig

SINK = '[sinks.web]\ntype = "file"\npath = "web.env"\n'
TARGET = '[[targets]]\nconsumer = "web"\napp = "Support"\nsink = "web"\nentry = "KEY"\n'
OTHER_CONSUMER = TARGET.replace('"web"', '"b"', 1)
OTHER_ENTRY = OTHER_CONSUMER.replace("KEY", "B")


def policy(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "rotation.toml"
    path.write_text(text)
    return read_policy(path)


def test_a_target_takes_the_defaults(tmp_path: Path) -> None:
    """What a target does not say, the defaults say."""
    found = policy(tmp_path, f"[defaults]\nmax_age_days = 30\n{SINK}{TARGET}grace_hours = 2\n")
    rule = found.targets[0]
    assert found.max_age(rule) == timedelta(days=30)
    assert found.grace(rule) == timedelta(hours=2)
    assert not found.revokes_unobserved(rule)


def test_false_is_no_missing_value(tmp_path: Path) -> None:
    """A target may take back what the defaults allow."""
    text = f"[defaults]\nrevoke_unobserved = true\n{SINK}{TARGET}revoke_unobserved = false\n"
    found = policy(tmp_path, text)
    assert not found.revokes_unobserved(found.targets[0])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[defaults\n", "line 1"),
        (f"{SINK}{TARGET}colour = 1\n", "[[targets]] number 1, colour: there is no such field"),
        ("[defaults]\nmax_age_days = 0\n", "[defaults] max_age_days"),
        ('[sinks.web]\ntype = "ftp"\n', "[sinks] web"),
        ('[sinks.web]\ntype = "file"\n', "[sinks.web] path"),
        (TARGET, "unknown sink 'web'"),
        (f"{SINK}{TARGET}datasets = true\n", "exactly one of app, tag"),
        (f"{SINK}{TARGET.replace('app =', 'tag =')}", "{app_id}"),
        (f"{SINK}{TARGET}{TARGET.replace('KEY', 'KEY2')}", "consumer, app or tag"),
        (f"{SINK}{TARGET}{OTHER_CONSUMER}", "sink, entry"),
        (
            f'{SINK}{TARGET}key_ids = ["k"]\n{OTHER_ENTRY}key_ids = ["k"]\n',
            "key_ids: k stands in two targets",
        ),
    ],
)
def test_a_wrong_policy_is_told_by_place(tmp_path: Path, text: str, told: str) -> None:
    """The error names the line, or the table and the field, and what is wrong."""
    with pytest.raises(PolicyWrong) as caught:
        policy(tmp_path, text)
    assert told in caught.value.what


def test_home_of_an_account_is_found_in_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else keys would be written into a folder named ~."""
    monkeypatch.setenv("HOME", str(tmp_path))
    sinks = policy(
        tmp_path,
        '[sinks.web]\ntype = "file"\npath = "~/shop/dify.env"\n'
        '[sinks.vault]\ntype = "vault"\nurl = "https://vault.example.com"\n'
        'token_file = "~/.vault-token"\n',
    ).sinks
    assert isinstance(sinks["web"], FileSinkConfig)
    assert sinks["web"].path == tmp_path / "shop" / "dify.env"
    assert isinstance(sinks["vault"], VaultSinkConfig)
    assert sinks["vault"].token_file == tmp_path / ".vault-token"


def test_a_missing_policy_says_where_to_put_one(tmp_path: Path) -> None:
    """Without a file the error names the path that was looked at."""
    with pytest.raises(PolicyWrong, match=r"rotation\.toml"):
        read_policy(tmp_path / "rotation.toml")


def test_example_of_the_document_is_a_policy(tmp_path: Path) -> None:
    """What docs/key-rotation.md shows can be copied: every kind of sink and target."""
    document = Path(__file__).resolve().parents[3] / "docs" / "key-rotation.md"
    (example,) = re.findall(r"```toml\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    found = policy(tmp_path, example)
    assert {sink.type for sink in found.sinks.values()} == set(SINK_TYPES)
    assert {bool(rule.app) + 2 * bool(rule.tag) for rule in found.targets} == {0, 1, 2}
