"""What Dify says of a row that it cannot show is told, bounded and without the row's values."""

import pytest

from dify_etl.dify.errors import Refused, RowNotBuilt
from dify_etl_tests.dify.pretend_server import PretendServer
from dify_etl_tests.dify.recordings import client, exchange

NEWEST = ("1.16.1", "main-2026-08")


@pytest.mark.parametrize("version", NEWEST)
@pytest.mark.parametrize(
    ("name", "path", "position"),
    [
        ("chat-messages-dead-file", "data.2.message_files", 2),
        ("chat-messages-dead-file-limit1-at-it", "data.0.message_files", 0),
        ("message-get-dead-file", "message_files", None),
    ],
)
def test_dead_file_is_named(version: str, name: str, path: str, position: int | None) -> None:
    """Both lines of Dify's words, the row's place, what to do, and not the address of the file."""
    recorded = exchange(version, "logs", name)
    dify = client(PretendServer(answer=lambda request: recorded.response()))

    with pytest.raises(RowNotBuilt) as caught:
        dify.conversations.messages_page("an app", "a conversation")

    error = caught.value
    assert (error.path, error.position, error.code) == (path, position, "invalid_param")
    assert error.what.endswith(f"Response: {path}")
    assert "bring the file's host back, or delete the message" in error.hint
    assert "dead.example.test" not in str(error)
    assert "plugin daemon" not in str(error)


@pytest.mark.parametrize("version", NEWEST)
@pytest.mark.parametrize("name", ["documents-bad-row-source-info", "documents-bad-row-metadata"])
def test_odd_document_is_named(version: str, name: str) -> None:
    """The field and what to do, and nothing of the SQL that Dify quotes."""
    recorded = exchange(version, "datasets", name)
    dify = client(PretendServer(answer=lambda request: recorded.response()))

    with pytest.raises(RowNotBuilt) as caught:
        dify.datasets.documents_page("a dataset")

    error = caught.value
    assert (error.path, error.position) == ("data_source_detail_dict", None)
    assert "delete it in the console" in error.hint
    assert "SELECT" not in str(error)
    assert "plugin daemon" not in str(error)


@pytest.mark.parametrize("version", NEWEST)
def test_wrong_parameter_is_no_row(version: str) -> None:
    """Dify's words for a parameter look alike, but name the query."""
    recorded = exchange(version, "apps", "list-page100000")
    dify = client(PretendServer(answer=lambda request: recorded.response()))

    with pytest.raises(Refused) as caught:
        dify.conversations.messages_page("an app", "a conversation")

    assert not isinstance(caught.value, RowNotBuilt)
