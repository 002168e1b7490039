"""What can happen to apps, keys, datasets, documents, people and the workspace itself."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256
from string import ascii_letters, digits
from uuid import UUID

from dify_simulated.world.rows import (
    Account,
    ApiKey,
    App,
    Dataset,
    Document,
    DocumentSegment,
    Member,
    Site,
)
from dify_simulated.world.tables import Tables, whole_second

_KEY_LETTERS = ascii_letters + digits


class WorkspaceChanges(Tables):
    """Verbs on what a workspace holds besides its traffic; every `at` is an aware datetime."""

    def new_secret(self, prefix: str, length: int) -> str:
        """A fresh token, repeatable for the same seed."""
        return prefix + "".join(self.random.choices(_KEY_LETTERS, k=length))

    def add_account(
        self, *, name: str, email: str, at: datetime, password: str | None = None
    ) -> Account:
        """Let a person come who is in no workspace yet; without a password nobody logs in."""
        with self.lock:
            row = Account(
                id=self.new_id(),
                name=name,
                email=email,
                created_at=whole_second(at),
                password=password,
                last_active_at=whole_second(at),
            )
            self.accounts[row.id] = row
            return row

    def join(self, account_id: str, tenant_id: str, *, role: str, at: datetime) -> Member:
        """Give an account a role in a workspace; its first workspace becomes the current one."""
        with self.lock:
            account = self.accounts[account_id]
            row = Member(
                id=self.new_id(),
                tenant_id=tenant_id,
                account_id=account_id,
                role=role,
                created_at=whole_second(at),
                current=not account.joins,
            )
            account.joins.append(row)
            self.members[row.id] = row
            return row

    def leave(self, account_id: str, tenant_id: str) -> None:
        """Take an account out of a workspace; another one of its own becomes the current one."""
        with self.lock:
            account = self.accounts[account_id]
            for join in [join for join in account.joins if join.tenant_id == tenant_id]:
                account.joins.remove(join)
                del self.members[join.id]
            if account.joins and not any(join.current for join in account.joins):
                account.joins[0].current = True

    def remove_account(self, account_id: str) -> None:
        """Let the row of an account go; what points at it keeps the id."""
        with self.lock:
            for member in self.accounts.pop(account_id).joins:
                del self.members[member.id]

    def switch_workspace(self, account_id: str, tenant_id: str) -> None:
        """Make another workspace current: for every session of the account. Raises KeyError."""
        with self.lock:
            joins = self.accounts[account_id].joins
            if all(join.tenant_id != tenant_id for join in joins):
                raise KeyError(f"account {account_id} is not in workspace {tenant_id}")
            for join in joins:
                join.current = join.tenant_id == tenant_id

    def add_app(
        self,
        *,
        name: str,
        mode: str,
        at: datetime,
        created_by: str,
        tenant_id: str,
        description: str | None = "",
    ) -> App:
        """Create an app that was never configured or published."""
        with self.lock:
            created_at = whole_second(at)
            site = Site(
                code=self.new_secret("", 16),
                title=name,
                created_at=created_at,
                created_by=created_by,
            )
            row = App(
                id=self.new_id(),
                tenant_id=tenant_id,
                name=name,
                description=description,
                mode=mode,
                created_by=created_by,
                created_at=created_at,
                updated_at=created_at,
                updated_by=created_by,
                site=site,
            )
            self.apps[row.id] = row
            return row

    def delete_app(self, app_id: str) -> None:
        """Delete an app with all that belongs to it, as Dify's worker has done seconds later."""
        with self.lock:
            del self.apps[app_id]
            self.purge_app(app_id)

    def purge_app(self, app_id: str) -> None:
        """The worker's part: all that belonged to an app whose row is gone."""
        with self.lock:
            for message_id in list(self.messages_of_app[app_id]):
                self.take_message(message_id)
            for conversation in [
                row for row in self.conversations.values() if row.app_id == app_id
            ]:
                self.take_conversation(conversation.id)
            for run in [row for row in self.workflow_runs.values() if row.app_id == app_id]:
                self.take_run(run.id)
            for annotation_id in list(self.annotations_of_app[app_id]):
                self.take_annotation(annotation_id)
            self._drop_small_rows(app_id)

    def _drop_small_rows(self, app_id: str) -> None:
        for log_id in list(self.logs_by_start[app_id]):
            self.take_log(log_id)
        for key in [row for row in self.api_keys.values() if row.app_id == app_id]:
            del self.api_keys[key.id]
        for workflow in [row for row in self.workflows.values() if row.app_id == app_id]:
            del self.workflows[workflow.id]

    def add_api_key(self, *, tenant_id: str, at: datetime, app_id: str | None = None) -> ApiKey:
        """Make a key of an app, or (app_id None) one for all datasets."""
        with self.lock:
            kind = "dataset" if app_id is None else "app"
            row = ApiKey(
                id=self.new_id(),
                tenant_id=tenant_id,
                type=kind,
                token=self.new_secret(f"{kind}-", 24),
                created_at=whole_second(at),
                app_id=app_id,
            )
            self.api_keys[row.id] = row
            return row

    def delete_api_key(self, key_id: str) -> None:
        """Delete a key: the next call with it is refused. Raises KeyError."""
        with self.lock:
            del self.api_keys[key_id]

    def add_dataset(
        self, *, name: str, tenant_id: str, created_by: str, at: datetime, permission: str
    ) -> Dataset:
        """Create an empty knowledge base."""
        with self.lock:
            created_at = whole_second(at)
            row = Dataset(
                id=self.new_id(),
                tenant_id=tenant_id,
                name=name,
                created_by=created_by,
                created_at=created_at,
                updated_at=created_at,
                permission=permission,
            )
            self.datasets[row.id] = row
            return row

    def add_document(
        self, dataset_id: str, *, at: datetime, name: str = "document.txt", batch: str = ""
    ) -> Document:
        """Upload a document; it waits for indexing. Its batch is the upload's instant."""
        with self.lock:
            row = Document(
                id=self.new_id(),
                dataset_id=dataset_id,
                position=len(self.documents_of_dataset[dataset_id]) + 1,
                name=name,
                created_by=self.datasets[dataset_id].created_by,
                created_at=whole_second(at),
                updated_at=at,
                batch=batch or at.strftime("%Y%m%d%H%M%S000000"),
                upload_file_id=self.new_id(),
                dataset_process_rule_id=self.new_id(),
            )
            self.put_document(row)
            return row

    def set_indexing_status(
        self, document_id: str, status: str, *, at: datetime, error: str | None = None
    ) -> None:
        """Move a document to a state: waiting, parsing ... completed, error, or paused.

        As on a real server, error and stopped_at of an earlier failure stay until it completes.
        """
        with self.lock:
            row = self.documents[document_id]
            row.is_paused = status == "paused"
            row.paused_at = at if row.is_paused else None
            if not row.is_paused:
                row.indexing_status = status
            self._mark_progress(row, status, at)
            if status == "error":
                row.error, row.stopped_at = error, at

    def add_segment(self, document_id: str, content: str, *, at: datetime) -> DocumentSegment:
        """Add a passage to the end of a document, as an editor or the indexing does."""
        with self.lock:
            document = self.documents[document_id]
            held = self.segments_of_document[document_id]
            position = 1 + max((self.document_segments[one].position for one in held), default=0)
            # Not by chance: the rest of a seed's world is the same with its passages and without.
            digest = sha256(f"{document_id} {position} {at} {content}".encode()).digest()
            row = DocumentSegment(
                id=str(UUID(bytes=digest[:16], version=4)),
                dataset_id=document.dataset_id,
                document_id=document_id,
                position=position,
                content=content,
                created_by=document.created_by,
                created_at=whole_second(at),
                updated_at=whole_second(at),
                keywords=tuple(content.split()[:2]),
                word_count=len(content),
                tokens=len(content) // 3,
                indexing_at=whole_second(at),
                completed_at=whole_second(at),
            )
            self.put_segment(row)
            document.word_count = (document.word_count or 0) + row.word_count
            return row

    def edit_segment(self, segment_id: str, content: str, *, at: datetime) -> None:
        """Give a passage another text; its document counts the characters."""
        with self.lock:
            row = self.document_segments[segment_id]
            document = self.documents[row.document_id]
            document.word_count = (document.word_count or 0) + len(content) - row.word_count
            row.content, row.word_count = content, len(content)
            row.updated_at, row.updated_by = whole_second(at), row.created_by

    def find_segment(self, segment_id: str) -> None:
        """Retrieval finds a passage: hits of it and its document, and no time, move."""
        with self.lock:
            row = self.document_segments[segment_id]
            row.hit_count += 1
            self.documents[row.document_id].hit_count += 1

    def delete_segment(self, segment_id: str) -> None:
        """Take a passage out of its document; the others keep their positions."""
        with self.lock:
            row = self.document_segments.pop(segment_id)
            self.segments_of_document[row.document_id].remove(segment_id)
            document = self.documents[row.document_id]
            document.word_count = (document.word_count or 0) - row.word_count
            document.hit_count -= row.hit_count

    def delete_document(self, document_id: str) -> None:
        """Take a document out of its dataset, with its passages."""
        with self.lock:
            for segment_id in self.segments_of_document.pop(document_id, []):
                del self.document_segments[segment_id]
            row = self.documents.pop(document_id)
            self.documents_of_dataset[row.dataset_id].remove(document_id)

    def _cut(self, row: Document, at: datetime) -> None:
        """Cut the text of a document into passages, once."""
        row.segments = row.segments or 4
        if not self.segments_of_document[row.id]:
            counted = row.word_count
            for number in range(1, 5):
                self.add_segment(row.id, f"{row.name} 第{number}段 passage", at=at)
            row.word_count = counted  # the document's own is told when it is completed

    def _mark_progress(self, row: Document, status: str, at: datetime) -> None:
        if status != "waiting":
            row.processing_started_at = row.processing_started_at or at
        if status in ("cleaning", "splitting", "indexing", "completed"):
            row.parsing_completed_at = row.parsing_completed_at or at
        if status in ("splitting", "indexing", "completed"):
            row.cleaning_completed_at = row.cleaning_completed_at or at
        if status in ("indexing", "completed"):
            row.splitting_completed_at = row.splitting_completed_at or at
            self._cut(row, at)
        if status == "completed":
            row.completed_at, row.completed_segments = at, row.segments
            row.error = row.stopped_at = None
            row.tokens, row.word_count = row.tokens or 300, row.word_count or 1000
