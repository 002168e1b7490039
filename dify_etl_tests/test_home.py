"""What dify-etl puts into a home is known as its own, so that it is made private."""

from pathlib import Path

from dify_etl.home import Home, holds_others, make_private


def files_of(home: Home) -> list[Path]:
    """All that a home names."""
    names = [name for name, kind in vars(Home).items() if isinstance(kind, property)]
    return [getattr(home, name) for name in names]


def test_everything_that_a_home_names_is_made_private(tmp_path: Path) -> None:
    """A file that is added to the class is the owner's alone after the next run."""
    files = files_of(Home(tmp_path))
    assert len({path.name for path in files}) == len(files) >= 15
    for path in files:
        path.write_text("text")
        path.chmod(0o644)
    assert not holds_others(tmp_path)
    make_private(tmp_path)
    assert [path.name for path in files if path.stat().st_mode & 0o077] == []
