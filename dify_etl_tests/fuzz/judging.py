"""Whether a read of altered answers kept its word.

What no case touches is loaded as from clean answers. What a case touches is loaded, or named in
quarantine, and its slices are not proven where it is missing or a figure of it is odd. Nothing is
red that no case touches. The verdict follows from that.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

from dify_etl.dify.api_keys import ApiKey
from dify_etl.dify.conversations import CompletionConversation, CompletionDetail
from dify_etl.dify.messages import Message
from dify_etl.dify.record import Record, is_figure
from dify_etl.dify.workflow_records import WorkflowAppLog
from dify_etl.raw.tables import RAW_TABLES
from dify_etl_tests.fuzz.altered_answers import Case, deepest_id
from dify_etl_tests.fuzz.grammar import DUPLICATE, OF_ANOTHER_APP, Path, is_held, is_nothing
from dify_etl_tests.fuzz.loads import Load, Row, Slot
from dify_etl_tests.fuzz.objects import TALK_PARTS

_IDS = (
    *("app_id", "conversation_id", "message_id", "workflow_run_id", "node_execution_id"),
    *("dataset_id", "document_id", "segment_id", "account_id", "api_key_id", "annotation_id"),
    *("agent_id", "agent_version_id", "app_trigger_id", "archived_run_id", "human_input_id"),
    "workflow_id",
)
_LOCAL = re.compile("_(?:date|hour)$")
_OF_THE_WORKSPACE = (
    *("apps", "members", "dataset_api_keys", "datasets", "documents", "document_segments"),
)
_OF_AN_APP = (
    *("app_api_keys", "annotations", "agent_versions", "app_triggers", "archived_runs"),
    "workflow_versions",
)
# Feeds of whose days Dify says no count.
_UNCOUNTED = ("messages", "workflow_runs", "node_executions")
WORST = ("proven", "unproven", "incomplete", "failed")


class Judge:
    """One load beside the clean one, and the cases that it met."""

    def __init__(self, clean: Load, load: Load) -> None:
        self.clean, self.load = clean, load
        self.cases = load.met
        self._by_id: dict[str, list[Case]] = defaultdict(list)
        self._everywhere: list[Case] = []
        # A run that no list shows is known by its message alone.
        self._talk_of_run = {
            row["workflow_run_id"]: (row["message_id"], row["conversation_id"])
            for row in clean.rows["messages"].values()
        }
        self._agents = {app["app_id"]: app["agent_id"] for app in clean.rows["apps"].values()}
        for case in self.cases:
            found = case.found
            ids = {found.object_id} if found.object_id else {deepest_id(found)}
            if found.route.table == "daily_statistics":
                ids = set(found.above)
            if isinstance(case.sent, str) and case.sent in self._known_ids:
                ids.add(case.sent)
            for one in ids:
                self._by_id[one].append(case) if one else self._everywhere.append(case)

    @property
    def _known_ids(self) -> set[str]:
        own = {case.found.object_id for case in self.cases if case.found.object_id}
        return own | {str(case.sent) for case in self.cases if "id" in case.kind}

    def complaints(self) -> list[str]:
        """What is wrong, each with the cases that touch it."""
        if self.load.unforeseen:
            return [f"unforeseen: {one}" for one in self.load.unforeseen]
        if self.load.raised:
            return [f"raised in {self.load.raised}"]
        return [
            *self._of_rows(),
            *self._of_extra_rows(),
            *self._of_slices(),
            *self._of_verdict(),
        ]

    def _of_rows(self) -> Iterator[str]:
        for name, rows in self.clean.rows.items():
            held = self.load.rows[name]
            for key, row in rows.items():
                now = held.get(key)
                if now is None and name == "messages":  # a log that was not opened has no id
                    now = held.get((row["conversation_id"], None))
                if now == row:
                    continue
                cases = self.cases_of(name, row)
                told = f"{name} {key}"
                if not cases:
                    yield f"untouched {told} {_difference(row, now)}"
                elif now is None:
                    yield from self._of_missing(name, told, row, cases)
                else:
                    yield from self._of_changed(name, told, row, now, cases)

    def _of_missing(self, name: str, told: str, row: Row, cases: Sequence[Case]) -> Iterator[str]:
        own = [case for case in cases if self._is_own(name, row, case)]
        for case in own:
            if _tells_of_no_message(name, case):
                return
            if _must_be_loaded(case) and not (own != cases and self._is_old_run(name, row)):
                yield f"{told} is missing, though no field that it needs is odd ({case})"
        if any(self._is_told_otherwise(name, case) for case in own or cases):
            return
        if name in TALK_PARTS and any(is_nothing(case.sent) for case in cases):
            return  # that a message has no parts is an answer
        states = self.states_of(name, row)
        if states and "proven" in states:
            yield f"{told} is missing in a proven slice ({_told(own or cases)})"

    def _is_old_run(self, name: str, row: Row) -> bool:
        """Whether it is a run before the start date: it is read for its message alone, which may be
        odd itself.
        """
        first = min(day for _, _, day in self.clean.slices if day is not None)
        return name == "workflow_runs" and _date(row["created_date"]) < first

    def _is_told_otherwise(self, name: str, case: Case) -> bool:
        """Whether the answer is well, but speaks of something else: a new id, or of no rows."""
        route = case.found.route
        if case.found.object_id is None:
            is_counted = isinstance(case.found.row, dict) and "total" in case.found.row
            return case.where == (route.rows,) and case.sent == [] and not is_counted
        if not isinstance(case.sent, str) or not case.where:
            return False
        if case.kind in (DUPLICATE, OF_ANOTHER_APP):  # whichever came later is set aside
            return any(self._tells_of(one, case) for one in {name, route.table}) or any(
                one["record_id"] == case.sent for one in self.load.waiting
            )
        if case.where not in (route.id_path, ("conversation_id",), ("message_id",)):
            return False
        seen = case.sent.encode("utf-8", "replace").decode()
        return any(seen in row.values() for row in self.load.rows[name].values())

    def _tells_of(self, name: str, case: Case) -> bool:
        """Whether the row with the id that was sent is what the case's object said of it. Rows of
        logs only add to a conversation, which may be none of their agent's.
        """
        if not case.found.route.record.needs:
            return case.where == case.found.route.id_path
        clean, now = self.clean.rows[name], self.load.rows[name]
        return any(case.sent in key and row != clean.get(key) for key, row in now.items())

    def _of_changed(
        self, name: str, told: str, row: Row, now: Row, cases: Sequence[Case]
    ) -> Iterator[str]:
        own = [case for case in cases if self._is_own(name, row, case)]
        odd = set((now.get("odd_fields") or "").split(",")) - {""}
        if odd and not any(
            one["record_id"] in row.values() and one["odd_fields"] for one in self.load.waiting
        ):
            yield f"{told} has odd fields that quarantine does not name ({_told(cases)})"
        record = own[0].found.route.record if own else RAW_TABLES[name].records[0]
        if any(is_figure(record, one) for one in odd) and "proven" in self.states_of(name, row):
            yield f"{told} has an odd figure in a proven slice ({_told(cases)})"
        for column in row:
            if row[column] == now[column] or column == "odd_fields":
                continue
            column = _LOCAL.sub("_at", column)  # a local day or hour follows from its instant
            if column in odd:
                continue
            if any(_explains(case, column, now[column]) for case in own):
                continue
            others = [case for case in cases if case not in own]
            if any(_explains_part(case, column, now[column], record) for case in others):
                continue
            if any(self._is_told_otherwise(name, case) for case in cases):
                continue
            if "proven" in self.states_of(name, row):
                yield (
                    f"{told}: {column} is {str(now[column])[:60]!r} instead of "
                    f"{str(row[column])[:60]!r}, slice proven ({_told(own or cases)})"
                )

    def _of_extra_rows(self) -> Iterator[str]:
        for name, rows in self.load.rows.items():
            for key in rows.keys() - self.clean.rows[name].keys():
                if not any(name in self._tables(case) for case in self.cases):
                    yield f"{name} {str(key)[:200]} was never sent"

    def _of_slices(self) -> Iterator[str]:
        for slot, (state, _) in self.clean.slices.items():
            now, why = self.load.slices.get(slot, ("unproven", "no slice"))
            if WORST.index(now) > WORST.index(state) and not self._may_be_red(slot):
                yield f"slice {slot} is {now} without a case: {why}"
            said, now_said = self.clean.expected[slot], self.load.expected.get(slot)
            if now_said is not None and now_said != said and not self._may_be_red(slot):
                yield f"slice {slot} expects {now_said}, Dify said {said}"
            if said is None and now_said is not None and slot[0] in _UNCOUNTED:
                yield f"slice {slot} expects {now_said}, and Dify said nothing"

    def _of_verdict(self) -> Iterator[str]:
        states = {state for state, _ in self.load.slices.values()}
        withheld = [one for one in self.load.waiting if not one["odd_fields"] or one["odd_figures"]]
        is_bad = bool(withheld) or bool(states & {"failed", "incomplete"})
        if self.load.verdict.is_good == is_bad:
            yield f"the verdict is {self.load.verdict.is_good}, the ledger says otherwise"

    def cases_of(self, name: str, row: Row) -> list[Case]:
        """The cases that touch what the row is, or hangs on."""
        ids = {row.get(column) for column in _IDS} - {None}
        ids.add(self._agents.get(row.get("app_id")))
        ids.update(self._talk_of_run.get(row.get("workflow_run_id"), ()))
        found = [case for one in ids for case in self._by_id.get(str(one), ())]
        return [
            case
            for case in [*found, *self._everywhere]
            if name in self._tables(case)
            and (name != "daily_statistics" or self._is_of_metric(row, case))
        ]

    def _is_of_metric(self, row: Row, case: Case) -> bool:
        found = case.found
        if found.route.table != name_of_statistics or found.object_id is None:
            return True
        return found.object_id.endswith(f" {row['statistic_date']}")

    def _tables(self, case: Case) -> frozenset[str]:
        if case.found.route.table == "apps":
            return frozenset(RAW_TABLES)
        return case.found.route.tables

    def _is_own(self, name: str, row: Row, case: Case) -> bool:
        found = case.found
        if found.route.table != name and (
            name != "messages" or found.route.record is not CompletionConversation
        ):
            return False
        if name == "messages" and found.route.record is CompletionConversation:
            return bool(row["conversation_id"] == found.object_id)
        if name == "daily_statistics":
            return True
        if name == "message_feedbacks":
            return bool(row["message_id"] == found.object_id)
        if found.route.record is CompletionDetail:
            return bool(row["conversation_id"] == deepest_id(found))
        key = RAW_TABLES[name].table.key[-1]
        ids: set[str | None] = {found.object_id}
        if found.route.rows is None:
            ids = {deepest_id(found)}
        return bool(row[key] in ids)

    def states_of(self, name: str, row: Row) -> list[str]:
        """The states of the slices that speak of a row; empty when none does."""
        return [
            self.load.slices[slot][0] for slot in self._slots(name, row) if slot in self.load.slices
        ]

    def _slots(self, name: str, row: Row) -> list[Slot]:
        if name == "message_feedbacks":
            exported = (name, row["app_id"], None)
            if self.load.slices.get(exported, ("proven", None))[0] != "proven":
                return [exported]
        if name in _OF_THE_WORKSPACE:
            return [(name, None, None)]
        if name in _OF_AN_APP:
            return [(name, row["app_id"], None)]
        if name == "daily_statistics":
            return [(name, row["app_id"], _date(row["statistic_date"]))]
        feed, at = name, row.get("created_at")
        if name == "human_inputs":
            return [
                slot
                for slot in self.load.slices
                if slot[1] == row["app_id"]
                and slot[0] in ("messages", "workflow_runs", "node_executions")
                and self.load.slices[slot][0] != "proven"
            ][:1]
        if name in TALK_PARTS:
            feed, at = "messages", row.get("message_created_at")
        assert isinstance(at, datetime)
        return [(feed, row["app_id"], at.astimezone(UTC).date())]

    def _may_be_red(self, slot: Slot) -> bool:
        feed, app_id, _ = slot
        for case in self.cases:
            tables = {*self._tables(case)}
            tables |= {"messages"} if tables & {*TALK_PARTS} else set()
            if feed in tables and (
                app_id is None
                or case.kind == OF_ANOTHER_APP
                or not case.found.above
                or app_id in {*case.found.above, case.found.object_id}
                or case.found.path.startswith("/console/api/agent/")
                or case.found.path.startswith("/console/api/workflow/")
            ):
                return True
        return False


name_of_statistics = "daily_statistics"


def _must_be_loaded(case: Case) -> bool:
    """Whether an object is a row whatever stands there: its identity, links and time are well."""
    record = case.found.route.record
    if not record.needs or not case.where or case.found.object_id is None:
        return False
    return not (columns_of(record, str(case.where[0])) & record.needs)


def _tells_of_no_message(name: str, case: Case) -> bool:
    """Whether a log of a completion app has lost its message: that is an answer, as of one that
    was deleted.
    """
    is_log = case.found.route.record is CompletionConversation
    return name == "messages" and is_log and case.where == ("message",) and is_nothing(case.sent)


def columns_of(record: type[Record], key: str) -> set[str]:
    """The fields of a record that look at this key of its object."""
    found = set()
    if record is ApiKey and key == "token":
        return {"masked_token", "token_fingerprint"}
    for name, info in record.model_fields.items():
        alias = info.validation_alias
        first = alias if isinstance(alias, str) else getattr(alias, "path", [name])[0]
        if first == key or name == key:
            found.add(name)
    return found


def _explains(case: Case, column: str, held: object) -> bool:
    """Whether a column holds what the case sent."""
    if case.found.route.record is WorkflowAppLog and case.where == ("workflow_run",):
        return is_nothing(case.sent)  # the log tells that its run is gone: of no run, then
    is_of_another = case.kind in (DUPLICATE, OF_ANOTHER_APP) and len(case.where) > 1
    if case.found.route.record is WorkflowAppLog and is_of_another:
        return held is None  # it tells of another run, so this one has no log
    if is_held(held, case.sent):
        return True
    if not case.where or (case.found.object_id is None and case.found.route.rows):
        return False
    record, where = case.found.route.record, case.where
    if record is CompletionDetail and where[0] == "message" and len(where) > 1:
        record, where = Message, where[1:]  # a whole message stands in the detail
    return _holds_what_was_sent(case, column, held, record, where)


def _holds_what_was_sent(
    case: Case, column: str, held: object, record: type[Record], where: Path
) -> bool:
    """Whether a column of a record holds what stands at `where` in its object now."""
    known = columns_of(record, str(where[0]))
    if known and column not in known | {"extra", "detail_extra"}:
        return False
    if column in ("token_fingerprint", "masked_token"):
        return True
    if held is None:
        return is_nothing(case.sent) or len(where) > 1
    if isinstance(held, str) and isinstance(case.sent, str) and len(where) == 1:
        seen = case.sent.encode("utf-8", "replace").decode()  # lone surrogates become `?`
        return held == seen or held == json.dumps(seen, ensure_ascii=False) or seen.startswith("@@")
    return True


def _explains_part(case: Case, column: str, held: object, record: type[Record]) -> bool:
    """Whether a column of a part of a message (a thought, a file, a rating) holds what was sent."""
    if len(case.where) < 3 or not isinstance(case.where[1], int):
        return False
    where = case.where[2:]
    is_known = column in columns_of(record, str(where[0]))
    return is_known and _holds_what_was_sent(case, column, held, record, where)


def _difference(row: Row, now: Row | None) -> str:
    if now is None:
        return "is missing"
    return "; ".join(
        f"{name} is {str(now[name])[:60]!r} instead of {str(row[name])[:60]!r}"
        for name in row
        if row[name] != now[name]
    )


def _told(cases: Sequence[Case]) -> str:
    return "; ".join(str(case) for case in cases[:3])


def _date(value: object) -> date:
    return value if isinstance(value, date) else date.fromisoformat(str(value))
