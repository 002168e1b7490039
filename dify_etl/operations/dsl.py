"""An app's DSL as text that is worth keeping in git, and what it says about the app.

Dify writes keys in alphabet order already, but keeps what the editor happened to have selected or
where its window stood; long texts are folded anew when a word changes, and a blank at the end of a
line makes one escaped line of a whole prompt.
"""

from dataclasses import dataclass, field
from typing import Any

from dify_etl.dify.json_text import JsonText
from dify_etl.dify.workflow_records import WorkflowVersion
from dify_etl.operations.bounded_yaml import YamlWrong, read_yaml
from dify_etl.operations.errors import InputWrong
from dify_etl.operations.known_secrets import without_known_secrets
from dify_etl.operations.readable_yaml import yaml_text
from dify_etl.operations.redaction import without_secrets

# What the editor keeps of a look at the canvas, on a node or edge: no part of what the app does.
_LOOKS = ("selected", "dragging", "resizing", "positionAbsolute")


@dataclass(frozen=True)
class Dsl:
    """A parsed DSL: what app it makes, and its text in stable form.

    `shown` is the text for people and plans: whoever wrote the file may have put secrets into it.
    """

    name: str
    mode: str
    description: str
    text: str = field(repr=False)
    shown: str


@dataclass(frozen=True)
class SharedDsl:
    """A DSL for git: stable, and without known secrets. `hidden`: where those were; `doubtful`:
    what may hold others. Both name nodes and variables.
    """

    text: str
    hidden: tuple[str, ...]
    doubtful: tuple[str, ...]


def shared_dsl(text: str, *, where: str) -> SharedDsl:
    """The stable DSL with `(secret)` in place of each known secret. InputWrong: as `stable_dsl`."""
    document = app_document(text, where)
    masked = without_known_secrets(without_looks(document))
    return SharedDsl(_dumped(masked.document, where), masked.hidden, masked.doubtful)


def stable_dsl(text: str, *, where: str, name: str | None = None) -> Dsl:
    """The DSL with sorted keys, LF, no folded lines and nothing of the editor's last look.

    `name`: as if the app in it were called so. InputWrong when it is no DSL of an app.
    """
    document = app_document(text, where)
    app = document["app"]
    if name:
        app["name"] = name
    plain = without_looks(document)
    shown = without_secrets(without_known_secrets(plain).document)
    description = str(app.get("description") or "")
    texts = _dumped(plain, where), _dumped(shown, where)
    return Dsl(str(app["name"]), str(app["mode"]), description, *texts)


def app_document(text: str, where: str) -> dict[str, Any]:
    """What the DSL of an app holds, as it was written. InputWrong when it is none."""
    document = _parsed(text, where)
    app = document.get("app")
    if not isinstance(app, dict) or not app.get("name") or not app.get("mode"):
        raise _wrong("it holds no app with a name and a mode", where)
    return document


def lacks_of(text: str, *, where: str) -> tuple[str, ...]:
    """What Dify left out of a DSL that it exported, in words: secrets, and files of agents.

    InputWrong when it is no DSL of an app.
    """
    document = _parsed(text, where)
    workflow, packages = document.get("workflow"), document.get("agent_packages")
    found = workflow.get("environment_variables") if isinstance(workflow, dict) else None
    secrets = [
        str(one.get("name"))
        for one in (found if isinstance(found, list) else ())
        if isinstance(one, dict) and one.get("value_type") == "secret" and not one.get("value")
    ]
    omitted = [
        asset
        for package in (packages.values() if isinstance(packages, dict) else ())
        for asset in _listed(package, "omitted_assets")
    ]
    lacks = []
    if secrets:
        lacks.append(f"values of secret environment variables: {', '.join(sorted(secrets))}")
    if omitted:
        lacks.append(f"files of the agent that Dify does not export: {len(omitted)}")
    return tuple(lacks)


@dataclass(frozen=True)
class VersionDsl:
    """The DSL of a published version, and in words what an import of it would lack."""

    text: str = field(repr=False)
    lacks: tuple[str, ...] = ()


def dsl_of_version(
    exported: str, draft: WorkflowVersion | None, version: WorkflowVersion, *, where: str
) -> VersionDsl:
    """The DSL of a published version: that of the exported draft, with what the version runs.

    For servers that export drafts alone. Environment variables stay the draft's, since their values
    are not read. Ids of datasets are written as the export writes them: servers that encrypt them
    there leave out a plain one when they import. InputWrong when the draft's text is no DSL.
    """
    document = _parsed(exported, where)
    workflow = document.get("workflow")
    held = workflow if isinstance(workflow, dict) else {}
    known = _exported_ids(None if draft is None else draft.graph, held.get("graph"))
    parts = {
        "graph": version.graph,
        "features": version.features,
        "conversation_variables": version.conversation_variables,
    }
    told = {name: part.load() for name, part in parts.items() if part is not None}
    plain = []
    for datasets in _dataset_lists(told.get("graph")).values():
        plain += [one for one in datasets if one not in known]
        datasets[:] = [known.get(one, one) for one in datasets]
    lacks = []
    if plain and not any(one == other for one, other in known.items()):
        listed = ", ".join(sorted({str(one) for one in plain}))
        lacks.append(
            f"datasets of the published version, which servers that encrypt ids leave out: {listed}"
        )
    if version.environment_variables is not None and version.environment_variables.load():
        lacks.append("values of environment variables of the published version: the draft's stay")
    return VersionDsl(_dumped(document | {"workflow": held | told}, where), tuple(lacks))


def _exported_ids(stored: JsonText | None, exported: Any) -> dict[str, str]:
    """How an export writes the ids of the datasets that a graph asks."""
    if stored is None:
        return {}
    plain, written = _dataset_lists(stored.load()), _dataset_lists(exported)
    return {
        one: other
        for node in plain.keys() & written.keys()
        if len(plain[node]) == len(written[node])
        for one, other in zip(plain[node], written[node], strict=True)
    }


def _dataset_lists(graph: Any) -> dict[str, list[Any]]:
    """The lists of datasets that nodes of a graph ask, by the ids of the nodes."""
    found = {}
    for node in _listed(graph, "nodes"):
        datasets = _listed(node.get("data"), "dataset_ids") if isinstance(node, dict) else []
        if datasets and all(isinstance(one, str) for one in datasets):
            found[str(node.get("id"))] = datasets
    return found


def _listed(part: Any, name: str) -> list[Any]:
    found = part.get(name) if isinstance(part, dict) else None
    return found if isinstance(found, list) else []


def _dumped(document: Any, where: str) -> str:
    try:
        return yaml_text(document)
    except ValueError as error:
        raise _wrong(str(error), where) from None


def parsed_yaml(text: str, where: str) -> Any:
    """What a YAML text holds, a DSL or not. InputWrong names the line."""
    try:
        return read_yaml(text)
    except YamlWrong as error:
        line = f", line {error.line}" if error.line else ""
        raise _wrong(error.what, where + line) from None


def _parsed(text: str, where: str) -> dict[str, Any]:
    document = parsed_yaml(text, where)
    if not isinstance(document, dict) or document.get("kind", "app") != "app":
        raise _wrong("it is no DSL of an app", where)
    return document


def _wrong(what: str, where: str) -> InputWrong:
    return InputWrong(what, where=where, hint="Give a file that `dify-etl apps export` wrote.")


def without_looks(document: dict[str, Any]) -> dict[str, Any]:
    """The document without the looks of its graph; the same keys elsewhere are somebody's data."""
    workflow = document.get("workflow")
    graph = workflow.get("graph") if isinstance(workflow, dict) else None
    if not isinstance(workflow, dict) or not isinstance(graph, dict):
        return document
    plain = {key: graph[key] for key in graph if key != "viewport"}
    for part in ("nodes", "edges"):
        if isinstance(plain.get(part), list):
            plain[part] = [_without_look(one) for one in plain[part]]
    return document | {"workflow": workflow | {"graph": plain}}


def _without_look(part: Any) -> Any:
    if not isinstance(part, dict):
        return part
    kept = {key: part[key] for key in part if key not in _LOOKS}
    if isinstance(kept.get("data"), dict):
        kept["data"] = {key: one for key, one in kept["data"].items() if key != "selected"}
    return kept
