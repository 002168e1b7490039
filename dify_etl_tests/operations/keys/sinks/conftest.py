import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from moto.server import ThreadedMotoServer

from dify_etl.operations.keys.sinks import opening
from dify_etl.operations.keys.sinks.configs import (
    AwsSinkConfig,
    CommandSinkConfig,
    FileSinkConfig,
    VaultSinkConfig,
)
from dify_etl.operations.keys.sinks.protocol import SecretSink
from dify_etl_tests.operations.keys.sinks import vault_stand_in
from dify_simulated.server.serving import serve

HERE = Path(__file__).parent


@dataclass(frozen=True)
class OpenSink:
    """A sink, and an entry in it that holds `old` as its current value."""

    sink: SecretSink
    entry: str


@pytest.fixture(scope="session")
def aws() -> Iterator[str]:
    """The address of moto's AWS."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def aws_sink(aws: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> OpenSink:
    import boto3

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-tests")
    config = AwsSinkConfig(type="aws", region="eu-central-1", endpoint_url=aws)
    client = boto3.client("secretsmanager", endpoint_url=aws, region_name="eu-central-1")
    entry = f"dify/{_name(request)}"
    client.create_secret(Name=entry, SecretString="old")
    client.close()
    return OpenSink(opening.open_sink(config), entry)


@pytest.fixture
def vault() -> Iterator[tuple[vault_stand_in.VaultStandIn, str]]:
    stand_in = vault_stand_in.VaultStandIn()
    with serve(stand_in) as server:
        yield stand_in, server.base_url


@pytest.fixture
def vault_sink(
    vault: tuple[vault_stand_in.VaultStandIn, str], monkeypatch: pytest.MonkeyPatch
) -> OpenSink:
    stand_in, url = vault
    monkeypatch.setenv("VAULT_TOKEN", vault_stand_in.TOKEN)
    stand_in.versions["dify/bot"] = [{"api_key": "old", "other": "stays"}]
    sink = opening.open_sink(VaultSinkConfig(type="vault", url=url))
    return OpenSink(sink, "dify/bot#api_key")


@pytest.fixture
def dotenv_sink(tmp_path: Path) -> OpenSink:
    path = tmp_path / "bot.env"
    path.write_text("# of the bot\nHOST=x\nexport DIFY_KEY='old'  # rotated\nPORT=1\n")
    sink = opening.open_sink(FileSinkConfig(type="file", path=path))
    return OpenSink(sink, "DIFY_KEY")


@pytest.fixture
def json_sink(tmp_path: Path) -> OpenSink:
    path = tmp_path / "bot.json"
    path.write_text('{"host": "x", "key": "old", "ports": [1]}')
    sink = opening.open_sink(FileSinkConfig(type="file", path=path, format="json"))
    return OpenSink(sink, "key")


@pytest.fixture
def command_sink(tmp_path: Path) -> OpenSink:
    store = tmp_path / "store.json"
    store.write_text('{"bot": {"current": "old"}}')
    command = (sys.executable, str(HERE / "keeping_command.py"), str(store))
    return OpenSink(opening.open_sink(CommandSinkConfig(type="command", command=command)), "bot")


@pytest.fixture(params=["dotenv", "json", "command", "aws", "vault"])
def opened(request: pytest.FixtureRequest) -> OpenSink:
    """Every kind of sink, one after the other."""
    found: OpenSink = request.getfixturevalue(f"{request.param}_sink")
    return found


def _name(request: pytest.FixtureRequest) -> str:
    """The test's name in characters that names of secrets may have."""
    return re.sub(r"\W+", "-", request.node.name)
