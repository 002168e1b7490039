"""The SBOM names what users install, and nothing that only developers have."""

from typing import Any

import pytest

from supply_chain.sbom import only_runtime, runtime_edges

DEVELOPERS = {"pytest", "mypy", "ruff", "hypothesis", "moto", "import-linter", "flask"}


def bill(*names: str) -> dict[str, Any]:
    """As cyclonedx-py answers it, with an edge that only an extra nobody asked for would have."""
    return {
        "bomFormat": "CycloneDX",
        "metadata": {"component": {"name": "dify-etl", "bom-ref": "root", "version": "0.1.0"}},
        "components": [{"name": one, "bom-ref": f"{one}==1", "version": "1"} for one in names],
        "dependencies": [{"ref": "httpx==1", "dependsOn": ["pytest==1"]}],
    }


def test_only_what_users_install_is_listed() -> None:
    """Developers' packages go, with their edges; what an extra brings is optional."""
    needed = {"dify-etl": {"httpx"}, "httpx": {"h11"}, "h11": set[str]()}
    optional = {"dify-etl": {"httpx", "boto3"}, "boto3": set[str]()}
    made = only_runtime(bill("httpx", "h11", "boto3", "pytest"), needed, optional)
    assert {one["name"]: one["scope"] for one in made["components"]} == {
        "httpx": "required",
        "h11": "required",
        "boto3": "optional",
    }
    assert {one["ref"]: one["dependsOn"] for one in made["dependencies"]} == {
        "root": ["httpx==1"],
        "httpx==1": ["h11==1"],
        "h11==1": [],
        "boto3==1": [],
    }


def test_missing_package_is_no_bill() -> None:
    """What is needed and was not looked at is named."""
    with pytest.raises(ValueError, match="h11"):
        only_runtime(bill("httpx"), {"dify-etl": {"httpx"}, "httpx": {"h11"}, "h11": set()}, {})


def test_needs_of_this_project_are_walked_with_their_extras() -> None:
    """`uvicorn[standard]` brings websockets; boto3 comes with an extra; no developer's tool."""
    needed, optional = runtime_edges("dify-etl"), runtime_edges("dify-etl", ("aws", "vault"))
    assert {"dagster", "httpx", "websockets", "pydantic-core"} <= needed.keys()
    assert {"boto3", "hvac"} <= optional.keys() - needed.keys()
    assert not DEVELOPERS & optional.keys()
