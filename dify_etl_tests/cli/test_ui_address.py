"""Where the Dagster UI may listen; what is refused is refused before anything is started."""

import socket
from contextlib import closing

import pytest

from dify_etl.cli.developing import listening_socket
from dify_etl.settings import SettingWrong, load_settings
from dify_etl_tests.cli.command_line import Shell


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_loopback_needs_no_password(host: str) -> None:
    """Nobody else reaches it."""
    with closing(listening_socket(load_settings(), host, 0)) as listening:
        assert listening.getsockname()[0].startswith("127.")


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_other_addresses_take_a_password(host: str) -> None:
    """Whoever reaches the UI can do what the account can do in Dify."""
    with pytest.raises(SettingWrong, match="DIFY_ETL_UI_PASSWORD is not set"):
        listening_socket(load_settings(), host, 0)
    with_password = load_settings(DIFY_ETL_UI_PASSWORD="a long password")
    with closing(listening_socket(with_password, "0.0.0.0", 0)) as listening:
        assert listening.getsockname()[0] == "0.0.0.0"


@pytest.mark.parametrize("command", ["dev", "serve"])
def test_refusal_comes_at_once(shell: Shell, command: str) -> None:
    """Exit code 2 and the setting's name; nothing is started and no password is an empty one."""
    refused = shell.run(command, "--host", "0.0.0.0", DIFY_ETL_UI_PASSWORD="")
    assert refused.code == 2
    assert "DIFY_ETL_UI_PASSWORD is not set" in refused.text


def test_port_in_use_is_told(shell: Shell) -> None:
    """With the port, and what to do."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        refused = shell.run("dev", "--port", port)
    assert refused.code == 2
    assert f"port {port} of 127.0.0.1 cannot be used: Address already in use" in refused.text
    assert "choose another port with --port" in refused.text


@pytest.mark.parametrize("host", ["no.such.host.invalid", "192.0.2.1", "a..b"])
def test_unknown_address_is_told(host: str) -> None:
    """Neither a name that is none nor the address of another machine."""
    with_password = load_settings(DIFY_ETL_UI_PASSWORD="a long password")
    with pytest.raises(SettingWrong, match=r"is no address of this machine|cannot be used"):
        listening_socket(with_password, host, 0)


@pytest.mark.parametrize("hosts", ["*", "http://etl.example.com", "etl.example.com:443", "a b"])
def test_what_is_no_name_is_not_allowed(hosts: str) -> None:
    """A pattern would let the domain of any page in."""
    with pytest.raises(SettingWrong, match="DIFY_ETL_HOSTS is wrong"):
        load_settings(DIFY_ETL_HOSTS=hosts)


def test_password_is_not_shown() -> None:
    """Not in what the settings print, and not in errors about them."""
    assert "a long password" not in repr(load_settings(DIFY_ETL_UI_PASSWORD="a long password"))
