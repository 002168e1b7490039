"""Segments of documents, where they are read: all of them, again when they may have changed."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from dify_etl.feeds.document_segments import read_document_segments
from dify_etl.feeds.quarantine import Retried, retry_quarantine
from dify_etl.raw.privacy import Privacy
from dify_etl.sync.run import SyncPlan
from dify_etl.sync.verdict import judge
from dify_etl_tests.sync.answers_changed import ChangedAnswers, Forbidding, rows_changed
from dify_etl_tests.sync.comparison import differences
from dify_etl_tests.sync.conftest import Open
from dify_etl_tests.sync.small_worlds import quiet_world
from dify_etl_tests.sync.workplace import NOW, Workplace
from dify_simulated import Faults, World
from dify_simulated.server.faults import Fault
from dify_simulated.world.rows import Document

FEEDS = ("datasets", "documents", "document_segments")
ROUTE = "/datasets/{dataset_id}/documents/{document_id}/segments"
HELD = "SELECT count(*) FROM raw.document_segments WHERE absent_since IS NULL"
SLICE = "SELECT state, rows, reason FROM ops.slices WHERE feed = 'document_segments'"


def library(*sizes: int) -> World:
    """One dataset with a document per size, of so many segments; nothing else is in it."""
    world = quiet_world("chat")
    for document_id in list(world.documents):
        world.delete_document(document_id)
    dataset_id = next(iter(world.datasets))
    for size in sizes:
        document = world.add_document(dataset_id, at=NOW - timedelta(days=3))
        for number in range(size):
            world.add_segment(document.id, f"passage {number}", at=NOW - timedelta(days=2))
        document.indexing_status = "completed"
    return world


def documents(place: Workplace) -> list[Document]:
    """The documents in the order in which they were added."""
    return list(place.world.documents.values())


def segments_of(place: Workplace, document: Document) -> list[str]:
    """The ids of its segments, by position."""
    return place.world.segments_of_document[document.id]


def read(place: Workplace, *, full: bool = False) -> set[str]:
    """One run; answers the documents whose segments were asked for."""
    with place.requests() as asked:
        place.with_rules(segments=True).read(FEEDS, SyncPlan(is_full=full))
    return {one.path.split("/")[-2] for one in asked if one.path.endswith("/segments")}


def through(place: Workplace, *arguments: Any, **settings: Any) -> None:
    """Let the client see changed answers from now on."""
    inner = httpx.WSGITransport(app=place.server)
    place.transport = ChangedAnswers(inner, *arguments, **settings)


@pytest.fixture
def three(workplace: Open) -> Workplace:
    """Three documents of 2, 3 and 4 segments, read once; a day has passed since."""
    place = workplace(library(2, 3, 4))
    read(place)
    assert place.rows(SLICE) == [("proven", 9, None)]
    place.pass_time(hours=24)
    return place


@pytest.mark.parametrize("version", ["1.0.0", "1.7.2", "1.12.1", "1.16.1", "main-2026-08"])
def test_every_segment_is_loaded(workplace: Open, version: str) -> None:
    """Several pages of a document, an empty one, and all that a segment may tell."""
    place = workplace(library(205, 1, 0), version)
    row = place.world.document_segments[segments_of(place, documents(place)[1])[0]]
    row.answer, row.child_chunks, row.image = "because", ("pass", "age"), "photo.png"
    row.summary = "in short"
    row.enabled, row.disabled_at, row.disabled_by = False, NOW, row.created_by
    assert len(read(place)) == 3
    assert differences(place, ("documents", "document_segments")) == []
    assert place.rows(SLICE) == [("proven", 206, None)]
    parts = "SELECT json_extract_string(child_chunks, '$[*].content'), attachments::VARCHAR "
    (told,) = place.rows(f"{parts} FROM raw.document_segments WHERE answer = 'because'")
    assert told[0] == ["pass", "age"]
    assert (told[1] is not None and "photo.png" in told[1]) == (version not in ("1.0.0", "1.7.2"))
    assert place.rows("FROM ops.schema_drift") == []


def test_equal_positions_lose_nothing(workplace: Open) -> None:
    """Dify sorts by position alone, which segments may share."""
    place = workplace(library(201))
    for row in place.world.document_segments.values():
        row.position = 7
    read(place)
    assert place.value(HELD) == 201


def test_page_that_lost_its_rows_proves_nothing(workplace: Open) -> None:
    """The document is incomplete and named, with both figures; the others stay whole. The next
    night brings the rest.
    """
    place = workplace(library(150, 2))
    many, few = documents(place)

    def emptied(path: str, answer: Any) -> Any:
        is_second = many.id in path and answer.get("page") == 2
        return {**answer, "data": []} if is_second else answer

    through(place, emptied)
    read(place)
    (told,) = place.rows(SLICE)
    assert told[0] == "incomplete"
    assert f"document {many.id}: 100 distinct rows, total 150 before" in told[2]
    assert few.id not in told[2]
    reads = dict(place.rows("SELECT document_id, state FROM ops.document_reads"))
    assert reads == {many.id: "incomplete", few.id: "proven"}
    place.transport = None
    assert read(place) == {many.id}
    assert place.rows(SLICE) == [("proven", 152, None)]
    assert differences(place, ("document_segments",)) == []


def test_only_documents_that_changed_are_asked(three: Workplace) -> None:
    """A text that grew, a hit, a new segment, one that is gone: each shows in the list row of its
    document. A quiet night asks for none but those whose turn of the deep read it is.
    """
    three.with_rules(deep_read_days=0)
    world = three.world
    assert read(three) == set()
    first, second, third = documents(three)
    world.edit_segment(segments_of(three, first)[0], "a longer passage", at=world.now())
    assert read(three) == {first.id}
    world.find_segment(segments_of(three, second)[1])
    world.add_segment(third.id, "one more", at=world.now())
    assert read(three) == {second.id, third.id}
    world.delete_segment(segments_of(three, third)[0])
    assert read(three) == {third.id}
    assert differences(three, ("document_segments",)) == []
    absent = "SELECT count(*) FROM raw.document_segments WHERE absent_since IS NOT NULL"
    assert three.value(absent) == 1
    assert read(three, full=True) == {first.id, second.id, third.id}


def test_change_during_the_read_is_due_again(three: Workplace) -> None:
    """The list row is noted as it was before the segments were asked."""
    three.with_rules(deep_read_days=0)
    world, document = three.world, documents(three)[0]
    world.add_segment(document.id, "one more", at=world.now())

    def grows(number: int, method: str, path: str) -> Fault | None:
        if path.endswith("/segments") and len(segments_of(three, document)) == 3:
            world.add_segment(document.id, "and another", at=world.now())
        return None

    three.server.faults = Faults(before_request=grows)
    assert read(three) == {document.id}
    assert read(three) == {document.id}
    assert differences(three, ("document_segments",)) == []


def test_change_without_a_sign_is_found_by_the_deep_read(three: Workplace) -> None:
    """A segment that was disabled moves nothing of its document: its turn comes within the nights
    of a deep read, and every document has one.
    """
    three.with_rules(deep_read_days=4)
    segment = three.world.document_segments[segments_of(three, documents(three)[0])[0]]
    segment.enabled, segment.disabled_at = False, three.world.now()
    asked = []
    for _ in range(4):
        asked += [read(three)]
        three.pass_time(hours=24)
    assert set().union(*asked) == {one.id for one in documents(three)}
    assert differences(three, ("document_segments",)) == []
    whole = three.value("SELECT deep_read_at FROM ops.slices WHERE feed = 'document_segments'")
    assert whole == three.value("SELECT min(read_at) FROM ops.document_reads")
    assert three.world.now() - whole <= timedelta(days=4)


def test_document_that_waited_too_long_is_read(three: Workplace) -> None:
    """Whatever nights were missed."""
    three.pass_time(days=28)
    assert read(three) == {one.id for one in documents(three)}


def test_links_that_are_signed_anew_are_no_change(workplace: Open) -> None:
    """The text comes a second time with new links on every read, and so do attachments."""
    place = workplace(library(2), "1.16.1")
    place.world.document_segments[segments_of(place, documents(place)[0])[0]].image = "a.png"
    read(place)
    with place.with_rules(segments=True).opened(SyncPlan(is_full=True)) as sync:
        assert read_document_segments(sync).changes.changed == 0


def test_segments_go_with_their_document_and_dataset(three: Workplace) -> None:
    """One deleted document, then the whole dataset; what returns is read anew."""
    world = three.world
    gone = documents(three)[0]
    dataset_id = gone.dataset_id
    world.delete_document(gone.id)
    read(three)
    assert three.value(HELD) == 7
    assert three.rows(SLICE) == [("proven", 7, None)]
    dataset = world.datasets.pop(dataset_id)
    read(three)
    assert three.value(HELD) == 0
    assert three.value("SELECT count(*) FROM ops.document_reads") == 0
    world.datasets[dataset_id] = dataset
    assert len(read(three)) == 2
    assert three.value(HELD) == 7


def test_document_that_goes_after_it_was_listed_is_no_failure(three: Workplace) -> None:
    """It is not called proven either; the next night knows more."""
    world, gone = three.world, documents(three)[0]
    world.find_segment(segments_of(three, gone)[0])

    def deleting(number: int, method: str, path: str) -> Fault | None:
        if path.endswith("/segments") and gone.id in world.documents:
            world.delete_document(gone.id)
        return None

    three.server.faults = Faults(before_request=deleting)
    read(three)
    (told,) = three.rows(SLICE)
    assert told[:2] == ("unproven", 7)
    assert gone.id in told[2]
    assert three.value(HELD) == 7
    read(three)
    assert three.rows(SLICE) == [("proven", 7, None)]


@pytest.mark.parametrize("status", [404, 500])
def test_document_that_fails_costs_only_itself(workplace: Open, status: int) -> None:
    """Its slice of the feed says which and why; the old rows stay, and the next night heals it.

    A document whose segments are not there, though Dify knows it, has failed as well.
    """
    place = workplace(library(2, 3))
    bad, good = documents(place)
    through(place, refuse=lambda path: status if path.endswith(f"{bad.id}/segments") else None)
    read(place)
    (told,) = place.rows(SLICE)
    assert (told[0], told[1]) == ("incomplete", 3)
    assert told[2].startswith(f"document {bad.id}: ")
    assert good.id not in told[2]
    place.transport = None
    assert read(place) == {bad.id}
    assert place.rows(SLICE) == [("proven", 5, None)]


def test_dataset_that_is_not_shown_is_unproven(workplace: Open) -> None:
    """Dify is asked once for it, and not for each of its documents; a role is no failure."""
    place = workplace(library(1, 1, 1))
    inner = httpx.WSGITransport(app=place.server)
    place.transport = forbidding = Forbidding(inner, lambda path: path.endswith("/segments"))
    place.with_rules(workers=1)
    read(place)
    assert forbidding.refused == 1
    (told,) = place.rows(SLICE)
    assert told[0] == "unproven"
    assert "private datasets of others are shown to the role owner" in told[2]
    place.transport = None
    read(place)
    assert place.rows(SLICE) == [("proven", 3, None)]


def test_role_that_sees_no_private_datasets_is_told(workplace: Open) -> None:
    """As for documents: what an editor is shown is loaded, and nobody says that it is all."""
    place = workplace(library(1))
    place.world.set_role("editor")
    read(place)
    (told,) = place.rows(SLICE)
    assert told[:2] == ("unproven", 1)
    assert "private datasets" in told[2]


def test_odd_row_waits_in_quarantine_and_is_tried_again(workplace: Open) -> None:
    """Its neighbours are loaded; `quarantine retry` knows dataset and document of it, and its
    document is asked every night until it is well.
    """
    place = workplace(library(3))
    (document,) = documents(place)
    through(place, rows_changed("/segments", lambda at, row: row if at else {**row, "tokens": []}))
    read(place)
    assert place.rows(SLICE) == [("proven", 3, None)]  # no figure of any day
    waits = "SELECT parent_id, odd_fields FROM ops.quarantine WHERE resolved_at IS NULL"
    assert place.rows(waits) == [(document.id, "tokens")]
    with place.opened() as sync:
        sync.database.execute("UPDATE ops.quarantine SET raw_json = replace(raw_json, '[]', '5')")
        assert retry_quarantine(sync) == Retried(loaded=1, wrong=0, without_object=0)
    assert place.value("SELECT count(*) FROM raw.document_segments WHERE tokens = 5") == 1
    through(place, rows_changed("/segments", lambda at, row: row if at else {**row, "id": 7}))
    read(place, full=True)
    (told,) = place.rows(SLICE)
    assert told[0] == "incomplete"
    assert "in quarantine" in told[2]
    assert place.value(HELD) == 3  # nobody knows which of them it is
    place.transport = None
    assert read(place) == {document.id}
    assert place.rows(waits) == []
    assert place.rows(SLICE) == [("proven", 3, None)]


def test_feed_that_is_off_is_in_no_verdict(workplace: Open) -> None:
    """Neither asked nor red nor unproven, also where it was read before and had failed; turned on
    again, everything is read anew. The rows stay.
    """
    place = workplace(library(2, 3))
    bad, _ = documents(place)
    through(place, refuse=lambda path: 500 if path.endswith(f"{bad.id}/segments") else None)
    read(place)
    place.transport = None
    with place.requests() as asked:
        place.with_rules(segments=False).read(FEEDS)
    assert not any(one.path.endswith("/segments") for one in asked)
    assert place.rows(SLICE) == []
    assert place.value("SELECT count(*) FROM ops.document_reads") == 0
    assert place.value(HELD) == 3
    with place.opened() as sync:
        assert judge(sync.database).is_good
    assert len(read(place)) == 2
    assert place.rows(SLICE) == [("proven", 5, None)]


def test_texts_are_dropped_where_the_settings_say_so(workplace: Open) -> None:
    """Text, answer, summary, keywords, parts and images; what counts them stays."""
    place = workplace(library(1), "1.16.1")
    row = place.world.document_segments[segments_of(place, documents(place)[0])[0]]
    row.answer = row.summary = row.error = row.content = row.image = "very secret"
    row.keywords = row.child_chunks = ("very secret",)
    place.with_rules(privacy=Privacy("drop"))
    read(place)
    (told,) = place.rows("SELECT t::VARCHAR, word_count FROM raw.document_segments t")
    assert "secret" not in told[0]
    assert told[1] == len("passage 0")
