"""The chart that Dagster shows is a picture of the numbers, and is one without any."""

from dify_etl.report.preview import WIDTH, bar, chart_of


def test_bars_are_as_long_as_their_numbers() -> None:
    """The highest takes all the room; each line says its day and numbers."""
    chart = chart_of([("2026-01-01", 1000, 250), ("2026-01-02", 0, 500)]).splitlines()
    assert [line.count("█") for line in chart] == [0, WIDTH + WIDTH // 4, WIDTH // 2]
    assert chart[1].split()[:2] == ["2026-01-01", "1,000"]
    assert chart[2].split()[1:3] == ["0", "500"]
    assert (bar(1, 2 * WIDTH), bar(0, 0)) == ("▌", "")


def test_no_day_is_told() -> None:
    """Before anything was read."""
    assert chart_of([]) == "nothing was read of these days"
