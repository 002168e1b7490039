"""Packages that only some need: how to install what an extra of this distribution asks for."""

import shlex
import sys
import tomllib
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_NAME = "dify-etl"
# As pyproject.toml has them, by the names of its extras.
PACKAGES = {
    "database": ("adbc-driver-postgresql>=1.5,<2", "adbc-driver-manager>=1.5,<2"),
    "aws": ("boto3>=1.35", "botocore>=1.35"),
    "vault": ("hvac>=2.3,<3", "requests>=2.27"),
    "notify": ("apprise>=1.9,<3",),
    "postgres": ("dagster-postgres>=0.29,<0.30", "sqlalchemy>=2,<2.1"),
}


def how_to_install(extra: str) -> str:
    """A sentence with the command that adds the packages of `extra` to this installation: for pip,
    pipx and uv tool. It names the packages, so it holds wherever dify-etl came from.
    """
    return f"Install it: {install_command(extra, Path(sys.prefix))}"


def install_command(extra: str, prefix: Path) -> str:
    """That command, for the environment at `prefix`."""
    wanted = PACKAGES[extra]
    packages = shlex.join(wanted)
    if (prefix / "pipx_metadata.json").exists():
        return f"pipx inject {_NAME} {packages}"
    receipt = prefix / "uv-receipt.toml"
    if receipt.exists():
        together = " ".join(f"--with {shlex.quote(one)}" for one in wanted)
        return f"uv tool install {together} {_installed_from(receipt)}"
    python = shlex.quote(sys.executable)
    if find_spec("pip") is None:  # as uv and the Makefile make environments
        return f"python3 -m pip --python {python} install {packages}"
    return f"{python} -m pip install {packages}"


def _installed_from(receipt: Path) -> str:
    """What uv installed the tool from: a file or folder, else its name."""
    held: Mapping[str, Any] = tomllib.loads(receipt.read_text(encoding="utf-8"))
    wanted = held.get("tool", {}).get("requirements", [])
    (own,) = [one for one in wanted if one.get("name") == _NAME] or [{}]
    return shlex.quote(str(own.get("path") or own.get("directory") or _NAME))
