"""Delete apps, each only with its escrow: the DSL in a file, all its data in the warehouse, and a
manifest that tells what is kept and what is not.

Dify deletes the row at once and everything below it (keys, conversations, messages, runs)
afterwards. What was not read before is lost.
"""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

from pydantic import Field

from dify_etl.dify.app_records import App
from dify_etl.dify.client import DifyClient
from dify_etl.dify.workflow_records import WorkflowVersion
from dify_etl.home import Home
from dify_etl.operations.applying import Action, Answer, Found, Operation, Operator
from dify_etl.operations.apps import SomeApps, found_apps, state_of, target_of
from dify_etl.operations.dsl import VersionDsl, dsl_of_version, lacks_of, stable_dsl
from dify_etl.operations.errors import EscrowRefused, InputWrong
from dify_etl.operations.exchange import NO_DRAFT, exported_dsl
from dify_etl.operations.plan import Step
from dify_etl.operations.publishing import MODES as WITH_DRAFT
from dify_etl.operations.redaction import State
from dify_etl.operations.request import OperationContext, Option, PlannedRequest
from dify_etl.operations.sync_proof import Proof, SyncProof
from dify_etl.private_files import replace_file

ESCROW_DSL, ESCROW_PUBLISHED = "apps.escrow_dsl", "apps.escrow_published_dsl"
ESCROW_DATA, ESCROW_MANIFEST = "apps.escrow_data", "apps.escrow_manifest"
DELETE = "apps.delete"
_KEPT = {ESCROW_DSL: "it", ESCROW_PUBLISHED: "its published version"}
SHOWN_FIELDS = ("name", "mode", "description", "is_site_enabled", "is_api_enabled")


@dataclass(frozen=True)
class Escrow:
    """Where DSL files go, whose ledger counts, and what is good enough."""

    folder: Path
    sync_proof: SyncProof
    synced_within: timedelta = timedelta(hours=1)
    accepts_unproven: bool = False

    def path_of(self, app: App) -> Path:
        """The file of the app's DSL: its own for each state of the app."""
        changed = app.updated_at or app.created_at
        return self.folder / f"{app.app_id}-{changed:%Y%m%dT%H%M%SZ}.yml"


class DeleteApps(PlannedRequest):
    """Delete apps whose data are in the warehouse; the DSL and a manifest are kept in files."""

    apps: SomeApps
    accept_unproven: bool = Field(
        default=False, description="Also with data that were read without a proof."
    )
    synced_within_minutes: Annotated[int, Option("--synced-within")] = Field(
        default=60, ge=1, description="Minutes that the app's last sync may be old."
    )

    def plan(self, context: OperationContext) -> Operation:
        """Steps that keep what is kept of each app, and its deletion."""
        escrow = Escrow(
            Home(context.home).escrow.absolute(),
            context.sync_proof_at(context.operator.clock.now()),
            timedelta(minutes=self.synced_within_minutes),
            self.accept_unproven,
        )
        return delete_operation(context.operator, self.apps, escrow)


def delete_operation(operator: Operator, texts: Sequence[str], escrow: Escrow) -> Operation:
    """Four steps per app: DSL into a file, proof that its data are read, a manifest, deletion. One
    more where the published version is another one than the draft. One
    less where nobody has saved a draft: then there is no DSL, and the plan and the manifest say so.

    All that is promised is tried: the DSL is had from Dify and read, the folder can be written.
    EscrowRefused when something of one app is not safe; then nothing is planned.
    """
    _check_folder(escrow.folder)
    actions: list[Action] = []
    for app in found_apps(operator.dify, texts):
        proof = _checked(operator, app, escrow)
        kept = _kept_of(operator.dify, app, escrow)
        actions += [
            *(_dsl_action(app, file) for file in kept.files),
            _data_action(operator, app, escrow, proof),
            _manifest_action(operator, app, escrow, kept),
            _delete_action(operator.dify, app, kept),
        ]
    return operator.operation(DELETE, actions, ())


@dataclass(frozen=True)
class _EscrowFile:
    """One DSL that is kept: where, and how its text is had from Dify."""

    operation: str
    path: Path
    read: Callable[[], str]


@dataclass(frozen=True)
class _Kept:
    """What is kept of an app beside its data, and in words what is lost with it."""

    files: tuple[_EscrowFile, ...]
    lacks: tuple[str, ...]

    @property
    def restoring(self) -> tuple[str, ...]:
        """A line per file: what brings the app back."""
        return tuple(
            f"bring {_KEPT[file.operation]} back, without data and keys: "
            f"{restore_command(file.path)}"
            for file in self.files
        )


def _kept_of(dify: DifyClient, app: App, escrow: Escrow) -> _Kept:
    """EscrowRefused when Dify's DSL cannot be read again, or a published app has no draft."""
    text, version = exported_dsl(dify, app), _version(dify, app)
    keys = len(dify.api_keys.of_app(app.app_id))
    lost = (f"{keys} API keys",) if keys else ()
    if text is None:
        if version is not None:
            raise _unsafe(app, f"it is published, but {NO_DRAFT}", "Save its draft in Dify first.")
        return _Kept((), (f"a DSL: {NO_DRAFT}", *lost))
    path = escrow.path_of(app)
    files = [_EscrowFile(ESCROW_DSL, path, partial(_draft_dsl, dify, app))]
    try:
        stable_dsl(text, where=_dsl_of(app))
        lacks = lacks_of(text, where=_dsl_of(app))
        published = _published_dsl(dify, app)
        if published.text != text:
            path = path.with_name(f"{path.stem}-published.yml")
            files.append(
                _EscrowFile(ESCROW_PUBLISHED, path, lambda: _published_dsl(dify, app).text)
            )
            stable_dsl(published.text, where=_dsl_of(app))
            more = (*lacks_of(published.text, where=_dsl_of(app)), *published.lacks)
            lacks = tuple(dict.fromkeys((*lacks, *more)))
    except InputWrong as error:
        raise _unsafe(
            app,
            f"the DSL that Dify exports could not be imported again: {error.what}",
            "Look at `dify-etl apps export`.",
        ) from None
    return _Kept(tuple(files), (*lacks, *lost))


def _version(dify: DifyClient, app: App) -> WorkflowVersion | None:
    return dify.workflows.published(app.app_id) if app.mode in WITH_DRAFT else None


def _unsafe(app: App, what: str, hint: str) -> EscrowRefused:
    return EscrowRefused(
        f"{app.name!r} cannot be kept: {what}",
        where="GET /apps/{app_id}/export",
        hint=f"{hint} Nothing was deleted.",
    )


def _dsl_of(app: App) -> str:
    return f"DSL of {app.name}"


def _draft_dsl(dify: DifyClient, app: App) -> str:
    """As it is at this moment. EscrowRefused when somebody has taken the draft away."""
    text = exported_dsl(dify, app)
    if text is None:
        raise _unsafe(app, NO_DRAFT, "Plan once more.")
    return text


def _published_dsl(dify: DifyClient, app: App) -> VersionDsl:
    """What is published, as Dify exports it, or as its parts tell it where Dify exports drafts
    alone; the draft's text to the letter where both are the same.
    """
    version, exported = _version(dify, app), _draft_dsl(dify, app)
    if version is None:
        return VersionDsl(exported)
    text = dify.apps.export_dsl(app.app_id, workflow_id=version.workflow_id)
    draft = dify.workflows.draft(app.app_id)
    if text != exported or (draft is not None and _parts(draft) == _parts(version)):
        return VersionDsl(text)
    return dsl_of_version(exported, draft, version, where=_dsl_of(app))


def _parts(version: WorkflowVersion) -> tuple[str | None, ...]:
    """All that a version runs and Dify shows: the hash is of graph and features alone."""
    return (
        version.graph_hash,
        version.features,
        version.conversation_variables,
        version.environment_variables,
    )


def _dsl_action(app: App, file: _EscrowFile) -> Action:
    def write() -> Answer:
        _keep(file.path, file.read())
        return None

    def read_back(answer: Answer) -> Found:
        is_same = file.path.read_text(encoding="utf-8") == file.read()
        return Found({"file": str(file.path)} if is_same else None)

    step = Step(file.operation, target_of(app), None, {"file": str(file.path)})
    return Action(step, write=write, read_back=read_back)


def _manifest_action(operator: Operator, app: App, escrow: Escrow, kept: _Kept) -> Action:
    """What is kept of the app, in a file beside the DSL that programs can read."""
    path = escrow.path_of(app)
    path = path.with_name(f"{path.stem}-manifest.json")

    def text() -> str:
        proof = _checked(operator, app, escrow)
        told = {
            "app": {"id": app.app_id, **(state_of(operator.dify, app.app_id, SHOWN_FIELDS) or {})},
            "origin": operator.dify.origin,
            "files": {file.operation: str(file.path) for file in kept.files},
            "restore": [restore_command(file.path) for file in kept.files],
            "lacks": list(kept.lacks),
            "data_read_at": proof.read_at.isoformat() if proof.read_at else None,
            "data_unproven": list(proof.unproven),
        }
        return json.dumps(told, ensure_ascii=False, indent=2, sort_keys=True) + "\n"

    def write() -> Answer:
        _keep(path, text())
        return None

    def read_back(answer: Answer) -> Found:
        held = json.loads(path.read_text(encoding="utf-8"))
        return Found({"file": str(path), "lacks": held["lacks"]})

    step = Step(
        ESCROW_MANIFEST, target_of(app), None, {"file": str(path), "lacks": list(kept.lacks)}
    )
    return Action(step, write=write, read_back=read_back)


def _check_folder(folder: Path) -> None:
    """EscrowRefused when files could not be written there."""
    there = next(one for one in (folder, *folder.parents) if one.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise EscrowRefused(
            "the escrow cannot be written here",
            where=str(there),
            hint="Fix the permissions of the home, or what is in its place. Nothing was deleted.",
        )


def _keep(path: Path, text: str) -> None:
    """Write a file of mode 0600 that is on the disk afterwards. EscrowRefused when it cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_file(path, text.encode())
    except OSError as error:
        raise EscrowRefused(
            f"the DSL cannot be kept: {error.strerror}",
            where=str(path),
            hint="Free disk space or fix the permissions of the home. Nothing was deleted.",
        ) from None


def _data_action(operator: Operator, app: App, escrow: Escrow, proof: Proof) -> Action:
    def write() -> Answer:
        _checked(operator, app, escrow)  # once more, just before the deletion
        return None

    wanted: State = {"read": "whole" if not proof.unproven else "whole as far as Dify tells"}
    note = "\n".join(
        [f"last read {proof.read_at:%Y-%m-%d %H:%M} UTC" if proof.read_at else "", *proof.unproven]
    )
    step = Step(ESCROW_DATA, target_of(app), None, wanted, note=note)
    return Action(step, write=write, read_back=lambda answer: Found(wanted))


def _delete_action(dify: DifyClient, app: App, kept: _Kept) -> Action:
    look = partial(state_of, dify, app.app_id, SHOWN_FIELDS)
    nothing = f"nothing brings it back: {NO_DRAFT}"
    restore = "\n".join(kept.restoring) or nothing
    lost = f"not kept: {'; '.join(kept.lacks)}\n" if kept.lacks else ""
    step = Step(
        DELETE,
        target_of(app),
        look(),
        None,
        is_irreversible=True,
        note=f"all conversations, messages, runs and API keys go with it\n{lost}{restore}",
    )
    return Action(
        step,
        write=partial(dify.apps.delete, app.app_id),
        read_back=lambda answer: Found(look(), app.app_id, restore),
        look=look,
    )


def restore_command(path: Path) -> str:
    """What brings an app back from its DSL."""
    return f"dify-etl apps import {path}"


def _checked(operator: Operator, app: App, escrow: Escrow) -> Proof:
    """The proof. EscrowRefused when days are missing, unproven, or the app was used since."""
    proof = escrow.sync_proof.proof_of(app.app_id, since=app.created_at, mode=app.mode)
    reasons = [*proof.lacking, *(() if escrow.accepts_unproven else proof.unproven)]
    if not reasons and proof.read_at is None:
        reasons.append("nothing tells when the app was read")
    elif not reasons and proof.read_at is not None:
        age = operator.dify.server_time() - proof.read_at
        if age > escrow.synced_within:
            reasons.append(f"the last sync of the app is {_hours(age)} old")
        used_at = last_use(operator.dify, app)
        if used_at is not None and used_at >= proof.read_at:
            reasons.append(f"the app was used at {used_at:%H:%M:%S} UTC, after the last sync")
    if not reasons:
        return proof
    more = " What Dify cannot prove passes with --accept-unproven."
    if proof.lacking:
        more = (
            f" Days before DIFY_ETL_START_DATE are never read; this app is of {app.created_at:%F}."
        )
    raise EscrowRefused(
        f"the data of {app.name!r} are not safe: " + "; ".join(reasons),
        where="ops.slices",
        hint=f"Turn the app's site and API off, run `dify-etl sync --full --app {app.app_id}`, "
        f"and delete it then.{more}",
    )


def last_use(dify: DifyClient, app: App) -> datetime | None:
    """When the app's newest conversation or run was touched; None when there is none."""
    if app.mode == "workflow":
        runs = dify.workflows.app_logs_page(app.app_id, 1, 1).records
        return runs[0].log_created_at if runs else None
    if app.mode == "completion":
        texts = dify.conversations.completion_page(app.app_id, 1, 1).records
        return texts[0].created_at if texts else None
    conversations = dify.conversations.chat_page(app.app_id, 1, 1, sort_by="-updated_at").records
    return conversations[0].updated_at if conversations else None


def _hours(age: timedelta) -> str:
    return f"{age.total_seconds() / 3600:.1f} hours"
