"""A policy for one bot of a small world, and the key that it uses today."""

from datetime import timedelta
from pathlib import Path

from dify_etl_tests.sync.small_worlds import app_of
from dify_simulated import World
from dify_simulated.world.rows import ApiKey

POLICY = """
[sinks.bot]
type = "file"
path = "bot.env"

[[targets]]
consumer = "bot"
app = "the chat app"
owner = "bot@example.com"
sink = "bot"
entry = "DIFY_KEY"
key_ids = ["{key_id}"]
"""


def let_another_consumer_hold_it(world: World, folder: Path) -> None:
    """A second entry holds what the bot gets now: that key is not deleted."""
    app, policy = app_of(world, "chat"), folder / "rotation.toml"
    second = f'[[targets]]\nconsumer = "second"\napp = "{app.id}"\nsink = "bot"\nentry = "SECOND"\n'
    policy.write_text(f"{policy.read_text()}\n{second}")
    held = (folder / "bot.env").read_text()
    (folder / "bot.env").write_text(held + held.replace("DIFY_KEY", "SECOND"))


def bots_key(world: World, folder: Path, *, days: float = 0) -> ApiKey:
    """A key of the chat app, so many days old: in bot.env, and named by rotation.toml."""
    app, at = app_of(world, "chat"), world.now() - timedelta(days=days)
    key = world.add_api_key(tenant_id=world.workspace_id, at=at, app_id=app.id)
    (folder / "rotation.toml").write_text(POLICY.format(key_id=key.id))
    (folder / "bot.env").write_text(f"DIFY_KEY={key.token}\n")
    return key
