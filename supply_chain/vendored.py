"""Files of others in this repository, by `vendored.toml`: whether they are as published, and what
the bill of materials says of them.
"""

import hashlib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def vendored() -> list[dict[str, str]]:
    """The packages of which files stand here: name, version, purl, licence, file, sha256."""
    found: list[dict[str, str]] = tomllib.loads((HERE / "vendored.toml").read_text())["package"]
    return found


def changed_files(root: Path = HERE.parent) -> list[str]:
    """Vendored files that are not what was published."""
    return [one["file"] for one in vendored() if _digest(root / one["file"]) != one["sha256"]]


def with_vendored(bom: Mapping[str, Any]) -> dict[str, Any]:
    """The bill with a component for each, on which the project itself depends."""
    made = [
        {
            "type": "library",
            "bom-ref": one["purl"],
            "name": one["name"],
            "version": one["version"],
            "purl": one["purl"],
            "scope": "required",
            "licenses": [{"license": {"id": one["licence"]}}],
            "hashes": [{"alg": "SHA-256", "content": one["sha256"]}],
        }
        for one in vendored()
    ]
    top = bom["metadata"]["component"]["bom-ref"]
    refs = [one["bom-ref"] for one in made]
    edges = [
        {**edge, "dependsOn": sorted([*edge["dependsOn"], *refs])} if edge["ref"] == top else edge
        for edge in bom["dependencies"]
    ]
    leaves = [{"ref": ref, "dependsOn": []} for ref in refs]
    components = [*bom["components"], *made]
    return {**bom, "components": components, "dependencies": [*edges, *leaves]}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
