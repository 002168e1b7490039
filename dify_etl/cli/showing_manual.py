"""`dify-etl docs`: the pages of the manual, one of them, or what it says of an error."""

from rich.console import Console
from rich.markdown import Markdown

from dify_etl.cli.consoles import teller
from dify_etl.manual import known_names, pages, sections, text_of
from dify_etl.operations.errors import InputWrong
from dify_etl.suggestions import did_you_mean


def run_docs(console: Console, name: str | None) -> int:
    """Show it: Markdown as it is written, on a terminal as it is meant. InputWrong: no such page,
    section, error or check.
    """
    if name is None:
        _list_pages(console)
        return 0
    text = text_of(name)
    if text is None:
        raise InputWrong(
            f"the manual has nothing on {name!r}",
            where="dify-etl docs",
            hint=f"{did_you_mean(name, known_names())}`dify-etl docs` lists the pages; errors and "
            "checks go by their names, as `dify-etl docs SessionLost`.",
        )
    if console.is_terminal:
        console.print(Markdown(text, hyperlinks=False))
    else:
        print(text, end="")
    return 0


def _list_pages(console: Console) -> None:
    tell = teller(console)
    held = pages()
    width = max(map(len, held))
    for page, text in held.items():
        tell(f"{page:<{width}}  {next(sections(text)).heading}")
