"""How API keys stand, from rows written by hand."""

from datetime import timedelta

import pytest

from dify_etl_tests.sql.hand_written import NOON, HandWritten

MART = "marts.api_key_posture"
READ_AT = NOON + timedelta(days=100)


@pytest.fixture
def keys(warehouse: HandWritten) -> HandWritten:
    """An app with an old key, a new one and a deleted one; a key of the datasets; read by day."""
    warehouse.app("chat")
    for feed, app_id in (("app_api_keys", "app"), ("dataset_api_keys", None)):
        warehouse.add("ops.slices", feed=feed, app_id=app_id, read_at=READ_AT, state="proven")
    key = {"app_id": "app", "created_at": NOON}
    warehouse.add("raw.app_api_keys", api_key_id="old", **key)
    used = {"created_at": NOON + timedelta(days=90), "last_used_at": READ_AT - timedelta(hours=30)}
    warehouse.add("raw.app_api_keys", api_key_id="new", **(key | used))
    warehouse.add("raw.app_api_keys", api_key_id="gone", absent_since=NOON, **key)
    at = {"created_at": NOON + timedelta(days=99, hours=23)}
    warehouse.add("raw.dataset_api_keys", api_key_id="of datasets", **at)
    return warehouse


def test_ages_are_of_the_last_read(keys: HandWritten) -> None:
    """Whole days since it was made and used, who is over age, and how many may still be made."""
    rows = {row["api_key_id"]: row for row in keys.rows_of(MART)}
    assert set(rows) == {"old", "new", "of datasets"}
    old = rows["old"]
    assert (old["age_days"], old["unused_days"], old["is_never_used"]) == (100, 100, True)
    assert (old["max_age_days"], old["is_over_age"], old["slots_left"]) == (90, True, 8)
    new = rows["new"]
    assert (new["age_days"], new["unused_days"], new["is_over_age"]) == (10, 1, False)
    assert (new["read_at"], new["app_name"], new["consumer"]) == (READ_AT, "app", None)
    of_datasets = rows["of datasets"]
    assert (of_datasets["key_type"], of_datasets["age_days"], of_datasets["slots_left"]) == (
        "dataset",
        0,
        9,
    )


def test_the_policy_says_how_old_a_key_may_become(keys: HandWritten) -> None:
    """max_age_days of its defaults."""
    keys.add("ops.model_settings", setting="key_max_age_days", value="5")
    over = {row["api_key_id"] for row in keys.rows_of(MART) if row["is_over_age"]}
    assert over == {"old", "new"}


def test_a_wrong_policy_says_nothing(keys: HandWritten) -> None:
    """Not even that a key is young enough."""
    keys.add("ops.model_settings", setting="key_max_age_days", value=None)
    assert {row["is_over_age"] for row in keys.rows_of(MART)} == {None}


def test_rotations_tell_who_uses_and_made_a_key(keys: HandWritten) -> None:
    """Consumer, sink and entry by the rotation; who applied it by the audit."""
    rotation = {"target_id": "target", "consumer": "shop", "sink": "vault", "entry": "shop/key"}
    began = NOON + timedelta(days=90)
    times = {"started_at": began, "stood_at": began + timedelta(days=2)}
    keys.add(
        "ops.key_rotations",
        **(rotation | times),
        rotation_id="r",
        state="overlap",
        new_key_id="new",
        old_key_ids='["old"]',
        promoted_at=began + timedelta(hours=1),
    )
    for entry, operation, actor, hours in (
        ("early", "keys.rotate", "somebody", -5),
        ("revoked", "keys.revoke", "third", 0.1),
        ("made", "keys.rotate", "ops@example.com", 0.5),
        ("later", "keys.rotate", "other", 2),
    ):
        at = began + timedelta(hours=hours)
        keys.add(
            "ops.audit",
            entry_id=entry,
            operation=operation,
            target_id="target",
            actor=actor,
            recorded_at=at,
        )
    rows = {row["api_key_id"]: row for row in keys.rows_of(MART)}
    new = rows["new"]
    assert (new["consumer"], new["sink"], new["entry"]) == ("shop", "vault", "shop/key")
    assert (new["made_by"], new["rotation_state"]) == ("ops@example.com", "overlap")
    assert (new["is_being_replaced"], rows["old"]["is_being_replaced"]) == (False, True)
    assert (rows["old"]["consumer"], rows["old"]["made_by"]) == (None, None)


@pytest.mark.parametrize("state", ["failed", "rolled_back", "proven", "withdrawing"])
def test_rotations_that_are_over_replace_nothing(keys: HandWritten, state: str) -> None:
    """One that failed leaves its old key in place, one that is withdrawn brings it back."""
    keys.add("ops.key_rotations", rotation_id="r", state=state, old_key_ids='["old"]')
    assert not any(row["is_being_replaced"] for row in keys.rows_of(MART))


def test_a_read_that_failed_is_no_read(keys: HandWritten) -> None:
    """How old the keys are now is not known: nothing is said of them."""
    keys.execute("UPDATE ops.slices SET state = 'failed' WHERE app_id = 'app'")
    rows = {row["api_key_id"]: row for row in keys.rows_of(MART)}
    assert (rows["old"]["read_at"], rows["old"]["age_days"]) == (None, None)
    assert rows["old"]["is_over_age"] is None
    assert rows["of datasets"]["read_at"] == READ_AT
