"""Write the report of the published copy into an HTML file."""

from pathlib import Path

from rich.console import Console

from dify_etl.cli.published import published_copy
from dify_etl.report.page_of_figures import LANGUAGES
from dify_etl.report.writing import default_report, write_report
from dify_etl.settings import home_of, load_settings


def run_report(console: Console, target: Path | None, *, language: str | None) -> int:
    """Write the page, and say where it stands. NothingPublished, ExportRefused: it was not."""
    copy = published_copy()
    path = target or default_report(home_of(load_settings()))
    chosen = next((one for one in LANGUAGES if one == language), None)
    size = write_report(copy, path, language=chosen)
    console.print(
        f"{path.absolute()}: {size / 1e6:.1f} MB; open it in a browser",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    return 0
