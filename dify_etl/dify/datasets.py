"""Datasets (knowledge bases), their documents, and how far these are indexed.

Without the server's plugin daemon GET /datasets answers 400.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypedDict, Unpack

from pydantic import Field

from dify_etl.dify import routes
from dify_etl.dify.http.session import Session
from dify_etl.dify.http.writes import Written
from dify_etl.dify.json_text import JsonText
from dify_etl.dify.lists import batch_of, page_of
from dify_etl.dify.paging import PageWalk, iterate
from dify_etl.dify.record import (
    Batch,
    Id,
    Instant,
    JsonRow,
    Page,
    Record,
    aliased,
    optional,
    parse_one,
)


class Dataset(Record):
    """A knowledge base (GET /datasets, /datasets/{id})."""

    needs = frozenset({"dataset_id"})

    dataset_id: Id = aliased("id", description="id of the dataset")
    name: str = aliased("name", description="name of the dataset")
    description: str | None = optional(description="description")
    provider: str | None = optional(description="vendor (in Dify) or external")
    permission: str | None = optional(description="only_me, all_team_members, partial_members")
    data_source_type: str | None = optional(description="upload_file, notion_import, …")
    indexing_technique: str | None = optional(description="high_quality or economy")
    app_count: int | None = optional(description="apps that use it")
    document_count: int | None = optional(description="documents")
    word_count: int | None = optional(description="characters, as Dify counts")
    total_documents: int | None = optional(description="documents, disabled ones included")
    total_available_documents: int | None = optional(description="documents ready for retrieval")
    embedding_model: str | None = optional(description="model that makes the vectors")
    embedding_model_provider: str | None = optional(description="its provider")
    is_embedding_available: bool | None = optional(
        "embedding_available", description="whether that model can be used now"
    )
    retrieval_model: JsonText | None = optional(
        "retrieval_model_dict", description="how passages are searched, JSON"
    )
    summary_index_setting: JsonText | None = optional(description="summary index, JSON")
    tags: JsonText | None = optional(description="tags, JSON list of id, name, type")
    doc_form: str | None = optional(description="text_model, qa_model, hierarchical_model")
    doc_metadata: JsonText | None = optional(description="metadata fields, JSON list")
    external_knowledge_info: JsonText | None = optional(description="external source, JSON")
    external_retrieval_model: JsonText | None = optional(description="its search, JSON")
    is_built_in_field_enabled: bool | None = optional(
        "built_in_field_enabled", description="whether built-in metadata fields are on"
    )
    partial_member_list: JsonText | None = optional(description="accounts allowed, JSON list")
    pipeline_id: str | None = optional(description="knowledge pipeline")
    runtime_mode: str | None = optional(description="general or rag_pipeline")
    chunk_structure: str | None = optional(description="structure of the passages")
    icon_info: JsonText | None = optional(
        description="icon, JSON; its address changes", is_signed=True
    )
    is_published: bool | None = optional(description="whether the pipeline is published")
    is_api_enabled: bool | None = optional("enable_api", description="whether the API is on")
    is_multimodal: bool | None = optional(description="whether images are indexed")
    author_name: str | None = optional(
        description="name of the author, looked up by Dify", keeps_last=True, is_person=True
    )
    maintainer_id: str | None = optional(
        "maintainer", description="account that maintains it (since 1.16)"
    )
    permission_keys: JsonText | None = optional(
        description="what the reading account may do with it, JSON list (since 1.16)"
    )
    created_by: str | None = optional(description="account that made it")
    created_at: Instant = aliased("created_at", description="when it was made")
    updated_by: str | None = optional(description="account that changed it last")
    updated_at: Instant | None = optional(description="last change; not all changes move it")


class Document(Record):
    """A document of a dataset (GET /datasets/{id}/documents). Dify tells no updated_at."""

    needs = frozenset({"dataset_id", "document_id"})

    dataset_id: Id = Field(description="id of the dataset")
    document_id: Id = aliased("id", description="id of the document")
    position: int | None = optional(description="place in the dataset, from 1")
    name: str = aliased("name", description="name of the document")
    data_source_type: str | None = optional(description="upload_file, notion_import, …")
    data_source_info: JsonText | None = optional(description="where it came from, JSON")
    data_source_detail: JsonText | None = optional(
        "data_source_detail_dict", description="the file behind it, JSON"
    )
    dataset_process_rule_id: str | None = optional(description="rule that cut it into passages")
    process_rule: JsonText | None = optional("process_rule_dict", description="that rule, JSON")
    created_from: str | None = optional(description="web or api")
    created_by: str | None = optional(description="account that added it")
    created_at: Instant | None = optional(description="when it was added")
    tokens: int | None = optional(description="tokens of the text")
    word_count: int | None = optional(description="characters, as Dify counts")
    hit_count: int | None = optional(
        description="how often passages were found; moves no time", is_volatile=True
    )
    indexing_status: str | None = optional(
        description="waiting, parsing, cleaning, splitting, indexing, completed, error; of a "
        "paused one where it was stopped"
    )
    display_status: str | None = optional(
        description="queuing, indexing, paused, error, available, disabled, archived: as the "
        "console shows it"
    )
    error: str | None = optional(description="error text; may be null with status error")
    is_enabled: bool | None = optional("enabled", description="whether retrieval uses it")
    disabled_at: Instant | None = optional(description="when it was disabled")
    disabled_by: str | None = optional(description="account that disabled it")
    is_archived: bool | None = optional("archived", description="whether it is archived")
    doc_form: str | None = optional(description="text_model, qa_model, hierarchical_model")
    doc_metadata: JsonText | None = optional(description="metadata, JSON list")
    completed_segments: int | None = optional(description="passages done; only asked with fetch")
    total_segments: int | None = optional(description="passages; only asked with fetch")
    summary_index_status: str | None = optional(description="state of the summary index")
    need_summary: bool | None = optional(description="whether a summary is wanted")


class DocumentSegment(Record):
    """A passage of a document (GET /datasets/{id}/documents/{id}/segments), as retrieval finds it.

    Dify sends the text a second time with links that are signed anew on every read
    (`sign_content`): that is not kept.
    """

    needs = frozenset({"dataset_id", "document_id", "segment_id"})

    dataset_id: Id = Field(description="id of the dataset")
    document_id: Id = Field(description="id of the document")
    segment_id: Id = aliased("id", description="id of the passage")
    position: int | None = optional(description="place in the document, from 1; not always unique")
    content: str | None = optional(
        description="text of the passage; of doc_form qa_model the question", is_text=True
    )
    answer: str | None = optional(description="answer, of doc_form qa_model", is_text=True)
    summary: str | None = optional(description="summary of the passage (since 1.12)", is_text=True)
    keywords: JsonText | None = optional(description="keywords, JSON list", is_text=True)
    word_count: int | None = optional(description="characters, as Dify counts")
    tokens: int | None = optional(description="tokens of the text")
    hit_count: int | None = optional(
        description="how often it was found; moves no time", is_volatile=True
    )
    index_node_id: str | None = optional(description="its id in the vector index")
    index_node_hash: str | None = optional(description="hash of the text that is indexed")
    status: str | None = optional(description="waiting, indexing, completed, error, paused, …")
    error: str | None = optional(description="error text", is_text=True)
    is_enabled: bool | None = optional("enabled", description="whether retrieval uses it")
    disabled_at: Instant | None = optional(description="when it was disabled")
    disabled_by: str | None = optional(description="account that disabled it")
    child_chunks: JsonText | None = optional(
        description="its parts that are indexed, JSON list (parent mode paragraph)", is_text=True
    )
    attachments: JsonText | None = optional(
        description="its images, JSON list (since 1.11)", is_signed=True, is_text=True
    )
    created_by: str | None = optional(description="account that added it")
    created_at: Instant | None = optional(description="when it was added")
    updated_by: str | None = optional(description="account that edited it last")
    updated_at: Instant | None = optional(description="last edit; hits do not move it")
    indexing_at: Instant | None = optional(description="when its indexing began")
    completed_at: Instant | None = optional(description="when it was indexed")
    stopped_at: Instant | None = optional(description="when its indexing was stopped")

    @classmethod
    def prepare(cls, row: JsonRow, context: Mapping[str, Any]) -> JsonRow:
        """The row without its signed text, and with the dataset and document that were asked."""
        return {key: row[key] for key in row if key != "sign_content"} | dict(context)


class IndexingStatus(Record):
    """How far a document is (GET indexing-status, error-docs). Judge by `indexing_status` alone:
    error and stopped_at keep their old values after a retry.
    """

    dataset_id: Id = Field(description="id of the dataset")
    document_id: Id = aliased("id", description="id of the document")
    indexing_status: str | None = optional(description="as in documents; error may be null text")
    processing_started_at: Instant | None = optional(description="when work began")
    parsing_completed_at: Instant | None = optional(description="when the text was read")
    cleaning_completed_at: Instant | None = optional(description="when it was cleaned")
    splitting_completed_at: Instant | None = optional(description="when it was cut")
    completed_at: Instant | None = optional(description="when it was indexed")
    paused_at: Instant | None = optional(description="when it was paused")
    stopped_at: Instant | None = optional(description="when it was stopped")
    error: str | None = optional(description="error text")
    completed_segments: int | None = optional(description="passages done; null in error-docs")
    total_segments: int | None = optional(description="passages; null in error-docs")
    error_code: str | None = optional(description="kind of the error (since 1.16)")
    estimated_vector_space_mb: float | None = optional(
        description="vector space that it would take, megabytes (cloud)"
    )
    vector_space_limit_mb: float | None = optional(
        description="vector space that the plan allows, megabytes (cloud)"
    )


class DatasetFilters(TypedDict, total=False):
    """Filters of GET /datasets."""

    keyword: str | None  # part of the name, any case
    tag_ids: Sequence[str]
    include_all: bool  # true unless told otherwise: private ones too, for the owner only


class Datasets:
    """`dify.datasets`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self, **filters: Unpack[DatasetFilters]) -> Iterator[Dataset]:
        """All datasets that the account may see, each once."""
        return iterate(self.walk(**filters), endpoint=f"GET {routes.DATASETS}")

    def walk(self, **filters: Unpack[DatasetFilters]) -> PageWalk[Dataset]:
        """The list as a walk that can prove itself."""
        return PageWalk(
            lambda page, limit: self.page(page, limit, **filters),
            key=lambda dataset: dataset.dataset_id,
            most_pages=self._session.bounds.pages,
        )

    def page(
        self, page: int = 1, limit: int = 100, **filters: Unpack[DatasetFilters]
    ) -> Page[Dataset]:
        """GET /datasets: one page, limit up to 100 (more is cut silently).

        `has_more` only means that the page is full. Only an owner sees everybody's private ones.
        """
        query = {
            "page": page,
            "limit": limit,
            "keyword": filters.get("keyword"),
            "tag_ids": filters.get("tag_ids"),
            "include_all": filters.get("include_all", True),
        }
        return page_of(
            Dataset,
            self._session.get(routes.DATASETS, query=query),
            endpoint=f"GET {routes.DATASETS}",
        )

    def get(self, dataset_id: str) -> Dataset:
        """GET /datasets/{dataset_id}. Raises NotFound."""
        answer = self._session.get(routes.DATASET, dataset_id=dataset_id)
        return parse_one(Dataset, answer, endpoint=f"GET {routes.DATASET}")

    def documents(self, dataset_id: str) -> Iterator[Document]:
        """All documents of a dataset, each once."""
        return iterate(self.documents_walk(dataset_id), endpoint=f"GET {routes.DOCUMENTS}")

    def documents_walk(self, dataset_id: str) -> PageWalk[Document]:
        """The documents as a walk that can prove itself."""
        return PageWalk(
            lambda page, limit: self.documents_page(dataset_id, page, limit),
            key=lambda document: document.document_id,
            most_pages=self._session.bounds.pages,
        )

    def documents_page(
        self, dataset_id: str, page: int = 1, limit: int = 100, *, fetch: bool = False
    ) -> Page[Document]:
        """GET /datasets/{id}/documents: one page, limit up to 100 (more is cut silently).

        `fetch` adds the counts of passages, at two queries a row on the server.
        """
        query = {"page": page, "limit": limit, "fetch": fetch or None}
        answer = self._session.get(routes.DOCUMENTS, query=query, dataset_id=dataset_id)
        context = {"dataset_id": dataset_id}
        return page_of(Document, answer, endpoint=f"GET {routes.DOCUMENTS}", context=context)

    def segments(self, dataset_id: str, document_id: str) -> Iterator[DocumentSegment]:
        """All passages of a document, each once."""
        walk = self.segments_walk(dataset_id, document_id)
        return iterate(walk, endpoint=f"GET {routes.DOCUMENT_SEGMENTS}")

    def segments_walk(self, dataset_id: str, document_id: str) -> PageWalk[DocumentSegment]:
        """The passages as a walk that can prove itself."""
        return PageWalk(
            lambda page, limit: self.segments_page(dataset_id, document_id, page, limit),
            key=lambda segment: segment.segment_id,
            most_pages=self._session.bounds.pages,
        )

    def segments_page(
        self, dataset_id: str, document_id: str, page: int = 1, limit: int = 100
    ) -> Page[DocumentSegment]:
        """GET /datasets/{id}/documents/{id}/segments: one page by position, limit up to 100 (more
        is cut silently, and refused from 1.11 on).

        Whoever may see the dataset may read it. Child chunks cost the server a query a row. Raises
        NotFound for an unknown dataset or document.
        """
        ids = {"dataset_id": dataset_id, "document_id": document_id}
        answer = self._session.get(
            routes.DOCUMENT_SEGMENTS, query={"page": page, "limit": limit}, **ids
        )
        return page_of(
            DocumentSegment, answer, endpoint=f"GET {routes.DOCUMENT_SEGMENTS}", context=ids
        )

    def indexing_status(self, dataset_id: str) -> Batch[IndexingStatus]:
        """GET /datasets/{id}/indexing-status: all documents, unpaged and costly.

        An unknown dataset gives an empty list, not an error.
        """
        return self._status_batch(f"{routes.DATASET}/indexing-status", dataset_id)

    def document_indexing_status(self, dataset_id: str, document_id: str) -> IndexingStatus:
        """GET /datasets/{id}/documents/{id}/indexing-status. Raises NotFound."""
        answer = self._session.get(
            routes.DOCUMENT_STATUS, dataset_id=dataset_id, document_id=document_id
        )
        context = {"dataset_id": dataset_id}
        return parse_one(
            IndexingStatus, answer, endpoint=f"GET {routes.DOCUMENT_STATUS}", context=context
        )

    def error_documents(self, dataset_id: str) -> Batch[IndexingStatus]:
        """GET /datasets/{id}/error-docs: documents in state error or paused, unpaged.

        Raises NotFound for an unknown dataset.
        """
        return self._status_batch(f"{routes.DATASET}/error-docs", dataset_id)

    def retry_document(self, dataset_id: str, document_id: str) -> Written[None]:
        """POST /datasets/{id}/retry, with one document: 204, which proves nothing.

        Dify answers 204 too when it skips the document (unknown, archived, completed); follow
        `document_indexing_status`, and there `indexing_status` alone. A second retry within 600 s
        is Refused (400) while the first is not through. One document per call: with several, such
        a refusal leaves the earlier ones waiting for nothing, and shut for 600 s. Raises NotFound
        for an unknown dataset.
        """
        body = {"document_ids": [document_id]}
        written = self._session.write(
            "POST", f"{routes.DATASET}/retry", body=body, dataset_id=dataset_id
        )
        return written.holding(None)

    def _status_batch(self, route: str, dataset_id: str) -> Batch[IndexingStatus]:
        answer = self._session.get(route, dataset_id=dataset_id)
        context = {"dataset_id": dataset_id}
        return batch_of(IndexingStatus, answer, endpoint=f"GET {route}", context=context)
