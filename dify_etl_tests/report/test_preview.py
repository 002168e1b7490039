"""The chart that Dagster shows is a picture of the numbers, and is one without any."""

from xml.etree import ElementTree

from dify_etl.report.preview import BOTTOM, HEIGHT, TOP, chart_of

SVG = "{http://www.w3.org/2000/svg}"


def test_bars_are_as_high_as_their_numbers() -> None:
    """The highest takes all the room; each bar says its day and number."""
    chart = ElementTree.fromstring(chart_of([("2026-01-01", 1000, 250), ("2026-01-02", 0, 500)]))
    bars = [one for one in chart.iter(f"{SVG}rect") if one.find(f"{SVG}title") is not None]
    room = HEIGHT - TOP - BOTTOM
    assert [float(one.attrib["height"]) for one in bars] == [room, room / 4, 0, room / 2]
    assert bars[0].findtext(f"{SVG}title") == "2026-01-01: 1,000 messages"


def test_no_day_is_told() -> None:
    """Before anything was read."""
    assert "nothing was read of these days" in chart_of([])
