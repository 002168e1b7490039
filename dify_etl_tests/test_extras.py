"""What is said where a package is missing that only some need."""

import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from dify_etl.alerts.targets import open_targets
from dify_etl.errors import ActionableError
from dify_etl.extras import PACKAGES, install_command
from dify_etl.operations.keys.sinks.configs import AwsSinkConfig, VaultSinkConfig
from dify_etl.operations.keys.sinks.opening import open_sink
from dify_etl.settings import load_settings

PROJECT = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["project"]
USES: dict[str, tuple[str, Callable[[], object]]] = {
    "database": (
        "adbc-driver-postgresql",
        lambda: load_settings(DIFY_DATABASE_URL="postgresql://localhost/dify"),
    ),
    "notify": ("apprise", lambda: open_targets(["json://localhost"], key=b"k")),
    "aws": ("boto3", lambda: open_sink(AwsSinkConfig(type="aws"))),
    "postgres": (
        "dagster-postgres",
        lambda: load_settings(DIFY_ETL_DAGSTER_STORAGE="postgresql://localhost/dagster"),
    ),
    "vault": ("hvac", lambda: open_sink(VaultSinkConfig(type="vault", url="http://localhost"))),
}


def test_extras_are_those_of_the_project() -> None:
    """With the same bounds."""
    assert {name: [*held] for name, held in PACKAGES.items()} == PROJECT["optional-dependencies"]


@pytest.mark.parametrize("extra", PACKAGES)
def test_missing_package_is_named_with_what_installs_it(
    extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every extra of the project has its use here, and its error the command."""
    package, use = USES[extra]
    monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)
    with pytest.raises(ActionableError) as caught:
        use()
    assert package in caught.value.what
    told = str(caught.value)
    assert install_command(extra, Path(sys.prefix)) in told
    assert [one for one in PACKAGES[extra] if one not in told] == []


def test_each_installer_has_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By what it leaves in the environment."""
    monkeypatch.setattr(sys, "executable", "/srv/my venv/bin/python")
    plain = install_command("notify", tmp_path)
    assert "'/srv/my venv/bin/python'" in plain
    assert plain.endswith("install 'apprise>=1.9,<3'")
    (tmp_path / "uv-receipt.toml").write_text(
        '[tool]\nrequirements = [{ name = "dify-etl", path = "/tmp/dify etl.whl" }]\n'
    )
    with_uv = "uv tool install --with 'apprise>=1.9,<3' '/tmp/dify etl.whl'"
    assert install_command("notify", tmp_path) == with_uv
    (tmp_path / "pipx_metadata.json").write_text("{}")
    with_pipx = "pipx inject dify-etl 'apprise>=1.9,<3'"
    assert install_command("notify", tmp_path) == with_pipx
