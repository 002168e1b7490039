"""Readers as the benchmark starts them: processes of their own, on a server of its own."""

from pathlib import Path

from benchmark.readers import ALL, Bench
from benchmark.server import ServedWorld
from benchmark.serving import serving


def test_dify_etl_loses_nothing_and_the_floor_asks_the_same(tmp_path: Path) -> None:
    """What dify-etl asks of a world, runs and nodes with it, bare httpx can ask as well."""
    world = ServedWorld(days=1, conversations_per_day=2, has_runs=True)
    with serving(world) as served:
        bench = Bench(served, tmp_path, world.days)
        home = bench.new_home()
        ours = bench.losses(bench.dify_etl(home, feeds=ALL), home)
        floor = bench.floor()
    assert set(ours.losses) == {"conversations", "messages", "runs", "nodes"}
    assert all(one.lost == one.duplicated == 0 for one in ours.losses.values())
    assert ours.requests == floor.requests > 20
