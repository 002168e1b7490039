"""Which model a message or a node asked: the node tells it, else the message, else the app."""

from datetime import timedelta
from json import dumps
from typing import Any

from dify_etl_tests.sql.hand_written import NOON, HandWritten

OPENAI = "langgenius/openai/openai"


def config(model: str) -> str:
    """A configuration as Dify tells it, of a model of openai."""
    return dumps({"model": {"provider": OPENAI, "name": model}})


def told(model: str | None) -> dict[str, Any]:
    """What a node tells of the model that it asked."""
    return {"process_data": dumps({"model_provider": OPENAI, "model_name": model})}


def models(warehouse: HandWritten, view: str, key: str) -> dict[str, tuple[Any, ...]]:
    """Provider, model and source by id."""
    names = ("provider", "model", "model_source")
    return {row[key]: tuple(row[name] for name in names) for row in warehouse.rows_of(view)}


def test_node_tells_its_model(warehouse: HandWritten) -> None:
    """A node that asked a model says which; another one has none."""
    warehouse.app("workflow")
    run = warehouse.run()
    warehouse.node(run, node_execution_id="llm", **told("gpt-4o"))
    warehouse.node(run, node_execution_id="code")
    assert models(warehouse, "staging.stg_node_executions", "node_execution_id") == {
        "llm": (OPENAI, "gpt-4o", "node"),
        "code": (None, None, None),
    }


def test_node_that_tells_none_has_the_model_of_the_graph_that_ran(warehouse: HandWritten) -> None:
    """A node that failed early is known by the published version that its run had, not by today's
    graph.
    """
    warehouse.app("workflow")
    for version, model in (("1", "gpt-4"), ("2", "gpt-5")):
        node = {"id": "ask", "data": {"model": {"provider": OPENAI, "name": model}}}
        warehouse.add(
            "raw.workflow_versions",
            workflow_id=f"version {version}",
            app_id="app",
            version=version,
            graph=dumps({"nodes": [node, {"id": "end", "data": {}}], "edges": []}),
        )
    run = warehouse.run(workflow_version="1")
    warehouse.node(run, node_execution_id="failed", node_id="ask", status="failed")
    warehouse.node(run, node_execution_id="ended", node_id="end")
    assert models(warehouse, "staging.stg_node_executions", "node_execution_id") == {
        "failed": (OPENAI, "gpt-4", "app configuration"),
        "ended": (None, None, None),
    }


def test_message_of_a_chatflow_has_the_model_of_its_nodes(warehouse: HandWritten) -> None:
    """One model of all nodes is that of the message; of several it has none."""
    warehouse.app("advanced-chat")
    for name, asked in (("one", ("gpt-4o", "gpt-4o")), ("two", ("gpt-4o", "gpt-5"))):
        run = warehouse.run()
        for model in asked:
            warehouse.node(run, **told(model))
        warehouse.message(message_id=name, workflow_run_id=run)
    assert models(warehouse, "staging.stg_messages", "message_id") == {
        "one": (OPENAI, "gpt-4o", "node"),
        "two": (None, None, None),
    }


def test_own_configuration_of_a_message_comes_before_that_of_the_app(
    warehouse: HandWritten,
) -> None:
    """What a conversation runs with is its own, whatever its app was told since."""
    warehouse.app("chat", model="gpt-5")
    warehouse.add(
        "raw.conversations",
        conversation_id="talk",
        app_id="app",
        app_model_config=config("gpt-4"),
        created_at=NOON,
    )
    warehouse.message(message_id="own")
    warehouse.message("another talk", message_id="of the app")
    assert models(warehouse, "staging.stg_messages", "message_id") == {
        "own": (OPENAI, "gpt-4", "message"),
        "of the app": (OPENAI, "gpt-5", "app configuration"),
    }


def test_app_configuration_is_that_of_the_time_of_the_message(warehouse: HandWritten) -> None:
    """A model that was changed at noon is asked from noon on; the first one that is known stands
    for all that was before.
    """
    warehouse.app("chat")
    warehouse.configured("gpt-4", at=NOON - timedelta(days=1))
    warehouse.configured("gpt-5", at=NOON)
    for name, hours in (("long before", -100), ("before", -1), ("at noon", 0), ("after", 100)):
        warehouse.message(message_id=name, created_at=NOON + timedelta(hours=hours))
    found = models(warehouse, "staging.stg_messages", "message_id")
    assert {name: model for name, (_, model, _) in found.items()} == {
        "long before": "gpt-4",
        "before": "gpt-4",
        "at noon": "gpt-5",
        "after": "gpt-5",
    }


def test_nobody_tells_a_model(warehouse: HandWritten) -> None:
    """Without a node, a configuration and a history there is no model, and no source of it."""
    warehouse.app("chat")
    warehouse.message(message_id="asked")
    assert models(warehouse, "staging.stg_messages", "message_id") == {"asked": (None, None, None)}


def test_question_without_a_model_reads_none(warehouse: HandWritten) -> None:
    """There is a model for nearly every message: who counts messages does not wait for them. Nor
    for people, where a view has no models.
    """
    warehouse.app("chat")
    warehouse.execute("PRAGMA enable_optimizer")
    for view, models_of in (
        ("stg_messages", "stg_message_models"),
        ("stg_node_executions", "stg_node_models"),
    ):
        warehouse.rows_of(f"staging.{view}")

        def plan(asked: str, view: str = view) -> str:
            return str(warehouse.database.rows(f"EXPLAIN SELECT {asked} FROM staging.{view}"))

        assert models_of in plan("count(model)")
        assert models_of not in plan("count(*), count(created_at)")
    for view in ("stg_workflow_runs", "stg_message_feedbacks"):
        warehouse.rows_of(f"staging.{view}")
        assert "stg_people" in plan("count(person_id)", view)
        assert "stg_people" not in plan("count(*), count(created_at)", view)
