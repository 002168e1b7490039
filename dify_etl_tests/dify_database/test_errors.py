"""What PostgreSQL says of an error is told in one line, bounded, and without the password."""

from dify_etl.dify_database.errors import DatabaseOdd, translated


def test_words_of_the_server_are_bounded_and_hold_no_password() -> None:
    """It repeats whole values of a row; where the line is cut no part of the password is left."""
    password = "long-secret-password"
    words = f"ERROR: no number: {'x' * 270}{password}{'y' * 900}\nSTATEMENT: SELECT 1"
    error = translated(Exception(words), password)
    assert isinstance(error, DatabaseOdd)
    assert "long-" not in str(error)
    assert "STATEMENT" not in str(error)
    assert len(error.what) < 400
