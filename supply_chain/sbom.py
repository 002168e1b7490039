"""`make sbom`: a CycloneDX list of what users install, from what the lock file installed here.

cyclonedx-py describes every distribution of an environment. What only developers have is taken out
again: its own edges cannot tell, since they count extras that nobody asked for.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from supply_chain.vendored import with_vendored

ROOT = "dify-etl"
Edges = Mapping[str, Iterable[str]]


def runtime_edges(root: str, extras: Iterable[str] = ()) -> dict[str, set[str]]:
    """Distribution -> what it needs on this platform, for all that `root[extras]` needs.

    Names are canonical. PackageNotFoundError when something needed is not installed.
    """
    edges: dict[str, set[str]] = {}
    seen: set[tuple[str, str]] = set()
    open_ = [(canonicalize_name(root), extra) for extra in ("", *extras)]
    while open_:
        name, extra = one = open_.pop()
        if one in seen:
            continue
        seen.add(one)
        needed = edges.setdefault(name, set())
        for line in requires(name) or ():
            wanted = Requirement(line)
            if wanted.marker and not wanted.marker.evaluate({"extra": extra}):
                continue
            found = canonicalize_name(wanted.name)
            needed.add(found)
            open_ += [(found, more) for more in ("", *wanted.extras)]
    return edges


def only_runtime(bom: Mapping[str, Any], needed: Edges, optional: Edges) -> dict[str, Any]:
    """The bill with the components of `needed` (scope `required`) and of `optional` (scope
    `optional`: they come with an extra) and their edges. ValueError when one is missing in it.
    """
    refs = {canonicalize_name(one["name"]): one["bom-ref"] for one in bom["components"]}
    top = bom["metadata"]["component"]
    refs[canonicalize_name(top["name"])] = top["bom-ref"]
    edges = {**optional, **needed}
    if missing := sorted(edges.keys() - refs):
        raise ValueError(f"not in the environment that was looked at: {', '.join(missing)}")
    return {
        **bom,
        "components": [
            {**one, "scope": "required" if name in needed else "optional"}
            for one in bom["components"]
            if (name := canonicalize_name(one["name"])) in edges
            and one["bom-ref"] != top["bom-ref"]
        ],
        "dependencies": [
            {"ref": refs[name], "dependsOn": sorted(refs[one] for one in edges[name])}
            for name in sorted(edges)
        ],
    }


def main() -> None:
    """Write the bill; fails when a dependency is missing or the result is no valid bill."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cyclonedx", required=True, help="the program cyclonedx-py")
    parser.add_argument("--output", type=Path, required=True)
    asked = parser.parse_args()
    done = subprocess.run(
        [
            asked.cyclonedx,
            "environment",
            "--pyproject=pyproject.toml",
            "--output-reproducible",
            sys.executable,
        ],
        stdout=subprocess.PIPE,
        check=True,
    )
    try:
        needed, optional = runtime_edges(ROOT), runtime_edges(ROOT, ("aws", "vault"))
        bom = with_vendored(only_runtime(json.loads(done.stdout), needed, optional))
    except (PackageNotFoundError, ValueError) as error:
        sys.exit(f"no SBOM: {error}; `make setup` installs what the lock file names")
    asked.output.parent.mkdir(parents=True, exist_ok=True)
    asked.output.write_text(json.dumps(bom, indent=2) + "\n", "utf-8")
    print(f"{asked.output}: {len(bom['components'])} components")


if __name__ == "__main__":
    main()
