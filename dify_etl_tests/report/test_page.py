"""The report in a browser: its numbers are those of SQL, its texts are texts, it loads nothing."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pytest

from dify_etl.home import COPY
from dify_etl.report import figures as figures_module
from dify_etl.report.figures import Figures, read_figures
from dify_etl.report.page_of_figures import page_of, page_sentences
from dify_etl_tests.duckdb_files import opened_to_read
from dify_etl_tests.report.conftest import OWNED
from dify_etl_tests.ui.chromium import Tab, chromium

Ask = Callable[[str], list[tuple[Any, ...]]]
# What Chromium tells of a page that is not as it should be.
COMPLAINTS = ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")


class Page(NamedTuple):
    """A report in a tab of the browser."""

    tab: Tab
    file: Path

    def show(self, address: str = "", file: Path | None = None) -> None:
        """Open the file anew with this choice; nothing else is asked for, and nobody complains."""
        self.tab.seen.clear()
        self.tab.open("about:blank")
        self.tab.open(f"{(file or self.file).as_uri()}#{address}")
        assert [one for one in COMPLAINTS if self.tab.seen[one]] == []
        assert self.tab.seen["Network.requestWillBeSent"] == 2

    def table(self, name: str) -> list[list[str]]:
        """The cells of a table, without its headings."""
        script = f"""[...document.querySelectorAll('#table-{name} :is(tbody, tfoot) tr')]
            .map(row => [...row.cells].map(cell => cell.textContent))"""
        found = self.tab.run(script)
        assert isinstance(found, list)
        return found

    def tiles(self) -> dict[str, str]:
        """Headline figures by the keys of their labels; several prices in one."""
        script = """[...document.querySelectorAll('[data-figure]')]
            .map(one => [one.dataset.figure, one.querySelector('dd').textContent])"""
        found: dict[str, str] = {}
        for key, text in self.tab.run(script):
            found[key] = f"{found[key]} {text}" if key in found else text
        return found

    def count(self, selector: str) -> int:
        """How many elements there are."""
        return int(self.tab.run(f"document.querySelectorAll({json.dumps(selector)}).length"))


@pytest.fixture(scope="module")
def page(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("browser")
    with chromium(folder / "profile", "x.invalid") as opened:
        tab = opened()
        tab.call("Log.enable")
        yield Page(tab, written(folder / "report.html", read_figures(home / COPY)))


def written(path: Path, figures: Figures) -> Path:
    path.write_bytes(page_of(figures, state="", language="en"))
    return path


@contextmanager
def asking(home: Path) -> Iterator[Ask]:
    with opened_to_read(home / COPY) as connection:
        yield lambda sql: connection.execute(sql).fetchall()


def number(text: str) -> Decimal:
    """A number as the page shows it."""
    return Decimal(text.replace(",", "").removesuffix(" %"))


def summed(ask: Ask, columns: str, table: str, where: str) -> list[Decimal]:
    """Sums of columns, 0 for nothing."""
    sums = ", ".join(f"coalesce(sum({one}), 0)" for one in columns.split())
    return [Decimal(one) for one in ask(f"SELECT {sums} FROM {table} WHERE {where}")[0]]


def chosen(day: str, choice: dict[str, str]) -> str:
    """The condition that a choice in the page means."""
    app = f"app_id = '{choice['app']}'" if "app" in choice else "true"
    return f"{day} BETWEEN '{choice['from']}' AND '{choice['to']}' AND {app}"


def test_numbers_equal_sql(page: Page, home: Path) -> None:
    """Of all apps and days, of one app, and of one day; money to the last digit."""
    with asking(home) as ask:
        (first, last), *_ = ask(
            "SELECT min(slice_date)::TEXT, max(through_date)::TEXT FROM ops.slices, ops.published"
        )
        busiest = ask(
            "SELECT app_id FROM marts.app_daily_usage GROUP BY 1 "
            "ORDER BY sum(messages) DESC, 1 LIMIT 2"
        )
        workflow = ask(
            "SELECT app_id FROM marts.workflow_reliability GROUP BY 1 "
            "ORDER BY sum(runs) DESC, 1 LIMIT 1"
        )
        apps = {app for (app,) in busiest + workflow}
        assert len(apps) > 1
        whole = {"from": first, "to": last}
        day = ask(
            "SELECT usage_date::TEXT FROM marts.workspace_daily_usage "
            "ORDER BY messages DESC, 1 LIMIT 1"
        )[0][0]
        choices = [whole, {"from": day, "to": day}, *({**whole, "app": app} for app in apps)]
        for choice in choices:
            page.show("&".join(f"{key}={value}" for key, value in choice.items()))
            require_usage(page, ask, choice)
            require_costs(page, ask, choice)
            require_operation(page, ask, choice)


def require_usage(page: Page, ask: Ask, choice: dict[str, str]) -> None:
    columns = "messages conversations_started workflow_runs error_messages unpriced_messages"
    columns += " prompt_tokens completion_tokens total_tokens"
    expected = summed(ask, columns, "marts.app_daily_usage", chosen("usage_date", choice))
    assert [number(one) for one in page.table("usage-apps")[-1][2:]] == expected
    tiles = page.tiles()
    shown = ("messages", "conversations", "runs", "errors.of_messages")
    assert [number(tiles[one]) for one in shown] == expected[:4]
    people = ask(
        f"SELECT count(DISTINCT person_id) FROM staging.stg_activities "
        f"WHERE {chosen('activity_date', choice)}"
    )[0][0]
    assert number(tiles["people.distinct"]) == people
    asked = page.table("people")
    assert len(asked) == min(people, 51)  # the last adds up the rest
    assert [sum(number(row[at]) for row in asked) for at in (2, 3)] == summed(
        ask, "messages workflow_runs", "staging.stg_activities", chosen("activity_date", choice)
    )
    if choice["from"] == choice["to"] and "app" not in choice:
        daily = page.table("people-daily")[0]
        assert (
            number(daily[1])
            == ask(
                "SELECT people FROM marts.workspace_daily_usage "
                f"WHERE usage_date = '{choice['from']}'"
            )[0][0]
        )
    kinds = "turns unanswered_messages error_messages"
    told = [number(one) for one in page.table("conversations")[-1][1:]] or [Decimal(0)] * 6
    assert [told[1], told[3], told[4]] == summed(
        ask, kinds, "marts.conversation_quality", chosen("created_date", choice)
    )


def require_costs(page: Page, ask: Ask, choice: dict[str, str]) -> None:
    where = chosen("usage_date", choice)
    sql = f"""SELECT currency, sum(total_price) FILTER (WHERE is_in_dify_figure) FROM marts.costs
        WHERE {where} AND total_price IS NOT NULL AND currency IS NOT NULL GROUP BY 1 ORDER BY 1"""
    for at, (currency, price) in enumerate(ask(sql)):
        tables = [page.table(f"costs-{kind}-{at}")[-1][1] for kind in ("apps", "models")]
        assert [number(one) for one in tables] == [price or 0] * 2
        daily = page.table(f"costs-daily-{at}")
        people = page.table(f"costs-people-{at}")
        assert sum(number(row[1]) for row in daily) == (price or 0)
        assert sum(number(row[2]) for row in people) == (price or 0)
        assert f"{currency}" in page.tiles()["price"].replace("currency unknown", "unknown")
    by_source = ask(f"SELECT sum(messages), sum(total_tokens) FROM marts.costs WHERE {where}")[0]
    sources = page.table("costs-sources")
    assert [sum(number(row[at]) for row in sources) for at in (4, 5)] == [
        one or 0 for one in by_source
    ]


def require_operation(page: Page, ask: Ask, choice: dict[str, str]) -> None:
    runs = summed(
        ask,
        "runs succeeded_runs partly_succeeded_runs failed_runs stopped_runs unfinished_runs",
        "marts.workflow_reliability",
        chosen("run_date", choice),
    )
    shown = page.table("runs-apps")
    assert [number(one) for one in (shown[-1][1:7] if shown else "000000")] == runs
    if runs[0] - runs[5]:
        rate = 100 * runs[1] / (runs[0] - runs[5])
        assert abs(number(shown[-1][7]) - rate) <= Decimal("0.05")
    nodes = summed(
        ask,
        "executions failed_executions handled_executions",
        "marts.node_performance",
        chosen("execution_date", choice),
    )
    slow = page.table("nodes-slow")
    assert [sum(number(row[at]) for row in slow) for at in (3, 4, 5)] == nodes
    for verdict in ("equal", "explained", "late", "differs"):
        (figures,) = ask(
            f"SELECT count(*) FROM marts.statistics_reconciliation WHERE verdict = "
            f"'{verdict}' AND {chosen('statistic_date', choice)}"
        )[0]
        assert number(page.tiles()[f"verdict.{verdict}"]) == figures
    slices = page.table("slices-daily")
    states = ask(f"SELECT count(*) FROM ops.slices WHERE {chosen('slice_date', choice)}")[0][0]
    assert sum(number(cell) for row in slices for cell in row[1:5]) == states
    require_latency(page, ask, choice)
    require_lists(page, ask, choice)


def require_latency(page: Page, ask: Ask, choice: dict[str, str]) -> None:
    quantiles = ", ".join(f"quantile_cont(latency_seconds, {one})" for one in (0.5, 0.95, 0.99))
    where = f"latency_seconds > 0 AND {chosen('created_date', choice)}"
    expected = ask(f"SELECT {quantiles} FROM staging.stg_messages WHERE {where}")[0]
    days = [row for row in page.table("latency-daily") if row[1] != "–"]
    if choice["from"] == choice["to"]:
        shown = days[0][1:4]
        assert page.table("latency-period") == []  # there is one for no single day
    elif expected[0] is not None:
        shown = page.table("latency-period")[0][3:6]
    else:
        assert (days, page.table("latency-period")) == ([], [])
        return
    assert all(
        abs(float(one) - value) <= 0.0005 for one, value in zip(shown, expected, strict=True)
    )


def require_lists(page: Page, ask: Ask, choice: dict[str, str]) -> None:
    where = chosen("last_date", choice)
    errors = ask(f"SELECT errors FROM marts.errors WHERE {where} ORDER BY errors DESC")
    assert [number(row[4]) for row in page.table("errors")] == [one for (one,) in errors]
    app = f"app_id = '{choice['app']}'" if "app" in choice else "true"
    keys = ask(f"SELECT age_days FROM marts.api_key_posture WHERE {app} ORDER BY 1 DESC")
    assert [number(row[3]) for row in page.table("keys")] == [one for (one,) in keys]
    documents = ask("SELECT documents FROM marts.document_health ORDER BY 1")
    assert sorted(number(row[1]) for row in page.table("documents")) == [
        one for (one,) in documents
    ]
    cited = ask("SELECT count(*) FROM marts.retrieval_quality WHERE is_cited")[0][0]
    never = ask(
        "SELECT count(*) FROM (SELECT document_id FROM marts.retrieval_quality "
        "GROUP BY dataset_id, document_id HAVING NOT bool_or(is_cited))"
    )[0][0]
    assert sum(number(row[2]) for row in page.table("retrieval")) == never
    assert len(page.table("segments")) == min(cited, 50)
    assert (
        len(page.table("freshness"))
        == ask(f"SELECT count(*) FROM marts.freshness WHERE {app} OR app_id IS NULL")[0][0]
    )


def test_texts_of_strangers_are_texts(page: Page) -> None:
    """HTML, scripts and control codes in names, questions and errors are shown, none is live."""
    page.show()
    text = str(page.tab.run("document.body.textContent"))
    assert text.count("<img src=x onerror=") > 50
    assert "\\x1b[2J" in text
    assert not {"\x1b", "\u202e", "\x9b"} & set(text)
    assert page.count("img, iframe, object, embed, link, base") == 0
    assert page.count("script") == 3
    assert OWNED not in str(page.tab.run("document.title")).partition("Simulated")[0][:5]
    assert page.count("main > section") == 12
    # What is chosen in the address is no markup either, and what is no choice is left out.
    page.show("app=<img%20src=x>&language=toString&theme=x&days=3&from=9999-99-99&to=x")
    assert page.count("img") == 0
    assert page.tab.run("document.getElementById('choose-app').value") == ""


def test_report_tells_whose_it_is(page: Page, home: Path) -> None:
    """Many a workspace is called alike: the server stands beside the name."""
    page.show()
    with asking(home) as ask:
        ((origin,),) = ask("SELECT server_origin FROM ops.source")
    told = str(page.tab.run("document.getElementById('where').textContent"))
    assert f" at {origin.partition('://')[2]}, Dify " in told


def test_every_reader_finds_their_way(page: Page) -> None:
    """A table behind each chart, names for controls, both languages, dark, phone and paper."""
    page.show("language=zh&theme=dark")
    tab = page.tab
    assert page.count(".chart") > 10
    assert page.count(".chart[role=img][aria-label]") == page.count(".chart")
    behind = (
        "[...document.querySelectorAll('.chart')].every(one => one.parentElement.querySelector("
    )
    assert tab.run(f"{behind}'details table'))")
    assert tab.run(
        "[...document.querySelectorAll('select, input')].every(one => one.labels.length)"
    )
    assert tab.run("document.documentElement.lang") == "zh-Hans"
    headings = tab.run("[...document.querySelectorAll('h2')].map(one => one.textContent)")
    sentences = page_sentences()
    assert {*headings} <= {one["zh"] for one in sentences.values()}
    assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    tab.run("window.dispatchEvent(new Event('beforeprint'))")
    assert page.count("details:not([open])") == 0
    assert tab.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    tab.run("window.dispatchEvent(new Event('afterprint'))")
    assert tab.run("document.documentElement.dataset.theme") == "dark"
    tab.call(
        "Emulation.setDeviceMetricsOverride",
        width=360,
        height=740,
        deviceScaleFactor=1,
        mobile=True,
    )
    page.show("language=en")
    assert tab.run("document.documentElement.scrollWidth") == 360
    tab.call("Emulation.clearDeviceMetricsOverride")


def test_choice_is_kept_in_the_address(page: Page) -> None:
    """Whoever changes a control sees other figures, and can hand on where they are."""
    page.show()
    assert page.tab.run("document.documentElement.lang") == "en"
    before = page.tiles()["messages"]
    page.tab.run("""(() => {
        const days = document.getElementById('choose-from');
        days.value = document.getElementById('choose-to').value;
        days.dispatchEvent(new Event('change'));
    })()""")
    kept = str(page.tab.run("location.hash"))
    assert kept.startswith("#from=2026-03-12&to=2026-03-12&language=en")
    changed = page.tiles()["messages"]
    assert number(changed) < number(before)
    page.show(kept[1:])
    assert page.tiles()["messages"] == changed


def test_what_is_missing_costs_its_section(
    page: Page, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mart that is not there, no row at all, too many people, several currencies, days that
    failed: the page says so, and the rest is shown.
    """
    copy = tmp_path / COPY
    copy.write_bytes((home / COPY).read_bytes())
    with duckdb.connect(str(copy)) as connection:
        connection.execute("DROP TABLE marts.errors")
        for name in ("workflow_reliability", "node_performance", "document_health"):
            connection.execute(f"DELETE FROM marts.{name}")
        connection.execute("UPDATE marts.costs SET currency = 'EUR' WHERE hash(app_id) % 2 = 0")
        connection.execute("UPDATE ops.slices SET state = 'failed' WHERE feed = 'messages'")
        connection.execute("UPDATE marts.statistics_reconciliation SET verdict = 'differs'")
        connection.execute(
            "INSERT INTO ops.models BY NAME SELECT 'marts.<mine>' AS model, 'failed' AS state, "
            "TIMESTAMPTZ '2026-03-02 04:00:00Z' AS failed_since"
        )
    monkeypatch.setattr(figures_module, "MOST_ACTIVITIES", 1)
    page.show("days=0", written(tmp_path / "report.html", read_figures(copy)))
    text = page.tab.text()
    assert "Not in this copy: Catalog Error: Table with name errors does not exist" in text
    assert "There are too many people for this report" in text
    assert "people.distinct" not in page.tiles()
    assert {"EUR", "USD"} <= set(page.tiles()["price"].split())
    assert "slices failed and" in page.tab.run("document.getElementById('status').innerText")
    assert "Figures that differ from Dify's own" in text
    assert "show what they held before 2026-03-02: marts.<mine>." in text
    assert page.count("#workflows .chart canvas") == 1  # an empty one of days
    assert {row[-1] for row in page.table("usage-daily")} == {"failed"}


def test_days_are_shortened_when_they_have_too_many_rows(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is left out is said: the first day that is in the report."""
    whole = read_figures(home / COPY)
    monkeypatch.setattr(figures_module, "MOST_DAYS", (400, 2))
    monkeypatch.setattr(figures_module, "MOST_DAILY_ROWS", whole["tables"]["slices"]["rows"] - 1)
    held = read_figures(home / COPY)
    assert held["about"]["first_day"] > whole["about"]["first_day"]
    assert held["tables"]["usage"]["rows"] < whole["tables"]["usage"]["rows"]
