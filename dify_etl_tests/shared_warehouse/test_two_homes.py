"""Of two homes of one workspace only one publishes: the other would delete what it kept."""

import pytest

from dify_etl.home import home_id, is_ours
from dify_etl.shared_warehouse.engines import opened, opened_to_read
from dify_etl.shared_warehouse.errors import SharedWarehouseRefused
from dify_etl.shared_warehouse.place import SharedPlace
from dify_etl.shared_warehouse.publication import publish_shared
from dify_etl_tests.shared_warehouse.small_copies import messages_of, small_copy


def messages(place: SharedPlace) -> int:
    """How many messages are there."""
    with opened_to_read(place) as warehouse:
        return int(warehouse.value("SELECT count(*) FROM shared.raw.messages"))


def test_another_home_of_a_workspace_is_refused(place: SharedPlace) -> None:
    """Its rows are not those that are kept; it says what to do, and how it may replace the first
    one for good. From then on that one is refused.
    """
    first = small_copy(place.spill.with_name("first.duckdb"), "a", rows=9)
    second = small_copy(place.spill.with_name("second.duckdb"), "a", rows=2)
    publish_shared(place, first, run_id="1", home_id="one")
    with pytest.raises(SharedWarehouseRefused) as told:
        publish_shared(place, second, run_id="2", home_id="two")
    assert messages(place) == messages_of(0, rows=9)
    for said in ("one", "two", 'home = "', "--take-over"):
        assert said in str(told.value)
    publish_shared(place, first, run_id="3", home_id="one")
    publish_shared(place, second, run_id="4", home_id="two", takes_over=True)
    assert messages(place) == messages_of(0, rows=2)
    with pytest.raises(SharedWarehouseRefused):
        publish_shared(place, first, run_id="5", home_id="one")
    publish_shared(place, second, run_id="6", home_id="two")


def test_home_that_published_without_an_id_goes_on(place: SharedPlace) -> None:
    """An older release told none and had no table for it: the first home with one is it. Homes of
    that release still write their publications, by the places of the columns.
    """
    copy = small_copy(place.spill.with_name("copy.duckdb"), "a")
    publish_shared(place, copy, run_id="old")
    with opened(place) as warehouse:
        warehouse.execute("DROP TABLE shared.ops.publishing_homes")
    publish_shared(place, copy, run_id="new", home_id="one")
    with pytest.raises(SharedWarehouseRefused):
        publish_shared(place, copy, run_id="other", home_id="two")
    with opened(place) as warehouse:
        warehouse.execute(
            "INSERT INTO shared.ops.publications SELECT 'b', 'p', now(), 'older', NULL, 1, 1"
        )
        held = warehouse.rows("SELECT home_id FROM shared.ops.publishing_homes")
        runs = warehouse.rows("SELECT run_id FROM shared.ops.publications ORDER BY published_at")
    assert (held, runs) == ([("one",)], [("old",), ("new",), ("older",)])


def test_clocks_do_not_tell_whose_home_it_is(place: SharedPlace) -> None:
    """A machine whose clock is a year ahead published last; the home that replaced it goes on."""
    copy = small_copy(place.spill.with_name("copy.duckdb"), "a")
    publish_shared(place, copy, run_id="1", home_id="ahead")
    with opened(place) as warehouse:
        warehouse.execute(
            "UPDATE shared.ops.publishing_homes SET since_at = since_at + INTERVAL 1 YEAR"
        )
    publish_shared(place, copy, run_id="2", home_id="two", takes_over=True)
    publish_shared(place, copy, run_id="3", home_id="two")
    with pytest.raises(SharedWarehouseRefused):
        publish_shared(place, copy, run_id="4", home_id="ahead")


def test_home_keeps_its_id(place: SharedPlace) -> None:
    """It is a file of the home, and goes with its copies and backups."""
    home = place.spill.with_name("home")
    home.mkdir()
    told = home_id(home)
    home.rename(home.with_name("restored"))
    assert home_id(home.with_name("restored")) == told
    home.mkdir()
    assert home_id(home) != told
    assert all(is_ours(one.name) for one in home.iterdir())
