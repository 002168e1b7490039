"""A workspace whose money is known to the last digit: every kind of charge, in three currencies."""

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random

from dify_etl_tests.sync.small_worlds import quiet_world
from dify_etl_tests.sync.workplace import NOW
from dify_simulated import World
from dify_simulated.world.prices import GPT_4O, MODELS, Model, node_usage, usage_of
from dify_simulated.world.rows import App, AppModelConfig, Conversation

MINI, RMB, EUR = MODELS["gpt-4o-mini"], MODELS["deepseek-chat"], MODELS["mistral-large"]
DAYS = tuple((NOW - timedelta(days=days)).replace(hour=9) for days in (5, 4))
PEOPLE = ("ada@example.com", "bob", "eve", "zoë")
# App, local day, person, model, currency.
Key = tuple[str, date, str, str, str]
Sums = dict[tuple[object, ...], Decimal]


@dataclass
class MoneyWorld:
    """The world, and what each charge of it was, whoever shows it: the truth."""

    world: World = field(default_factory=quiet_world)
    ledger: defaultdict[Key, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    chance: Random = field(default_factory=lambda: Random(5))
    deleted: list[str] = field(default_factory=list)
    has_agents: bool = False

    def __post_init__(self) -> None:
        self._basic_apps()
        self._chatflows()
        self._workflows()
        if self.has_agents:
            self._agents()

    def _basic_apps(self) -> None:
        for name, mode, model in (
            ("support", "chat", GPT_4O),
            ("yuan", "chat", RMB),
            ("tools", "agent-chat", MINI),
            ("euro", "chat", EUR),  # of this model nothing shows a price
            ("letters", "completion", GPT_4O),
        ):
            app = self._app(name, mode, model)
            for day in DAYS:
                for number in range(24 if mode == "completion" else 12):
                    self._talk(app, day + timedelta(minutes=number), number, model)
        letters = [row for row in self.world.conversations.values() if row.mode == "completion"]
        for row in letters[:-4] + letters[-2:]:  # two logs were never opened
            row.read_at, row.read_account_id = row.created_at, self.world.account_id
        # Old rows of which Dify does not know who called, and one that will be deleted.
        support = [row for row in self.world.conversations.values() if row.mode == "chat"]
        for row in support[:2]:
            row.invoke_from = None
            for message_id in self.world.messages_of_conversation[row.id]:
                self.world.messages[message_id].invoke_from = None
        self.deleted.append(support[4].id)

    def _talk(self, app: App, at: datetime, number: int, model: Model) -> None:
        """Mostly by end users; one explores, one debugs."""
        caller = {10: "explore", 11: "debugger"}.get(number)
        if caller is not None and app.name != "euro":
            row = self._by_account(app, at, caller)
            person = self.world.account_id
        else:
            person = PEOPLE[number % 4]
            row = self._by_person(app, at, person)
        for seconds in (0,) if app.mode == "completion" else (0, 20):
            asked_at = at + timedelta(seconds=seconds)
            message = self.world.add_message(row.id, at=asked_at, answer=None)
            prompt, answer = 800 + self.chance.randrange(400), 250 + self.chance.randrange(100)
            self.world.finish_message(message.id, prompt_tokens=prompt, answer_tokens=answer)
            self._note(app, at, person, model, message.total_price or Decimal(0))

    def _chatflows(self) -> None:
        """Two models in one graph; yuan in another; a fixed answer, a failure, and debugging."""
        flow, yuan = self._app("flow", "advanced-chat"), self._app("yuan flow", "advanced-chat")
        for day in DAYS:
            for number in range(4):
                at = day + timedelta(minutes=number)
                self._answer(flow, at, PEOPLE[number % 4], (GPT_4O, MINI))
                self._answer(yuan, at, PEOPLE[number % 4], (RMB,))
            self._answer(yuan, day + timedelta(hours=1), "eve", ())
            self._answer(flow, day + timedelta(hours=1), "eve", (GPT_4O,), is_failed=True)
            self._answer(flow, day + timedelta(hours=2), "", (GPT_4O,))

    def _answer(
        self,
        app: App,
        at: datetime,
        person: str,
        models: tuple[Model, ...],
        *,
        is_failed: bool = False,
    ) -> None:
        """A message whose run asks these models; without a person somebody debugs."""
        row = self._by_person(app, at, person) if person else self._by_account(app, at, "debugger")
        message = self.world.add_message(row.id, at=at, answer=None)
        told = [self._ask(message.workflow_run_id or "", at, model) for model in models]
        for model, (price, _) in zip(models, told, strict=True):
            self._note(app, at, person or self.world.account_id, model, price)
        tokens = sum(tokens for _, tokens in told)
        self.world.finish_message(
            message.id,
            prompt_tokens=0 if is_failed else tokens,
            answer_tokens=0,
            error="boom" if is_failed else None,
        )
        message.total_price = Decimal(0) if is_failed else sum((one for one, _ in told), Decimal(0))
        message.currency = models[-1].currency if models else "USD"
        usage = message.message_metadata["usage"]
        assert isinstance(usage, dict)
        usage |= {"total_price": str(message.total_price), "currency": message.currency}

    def _workflows(self) -> None:
        """An iteration and a loop around their nodes, and a workflow that another one calls."""
        inner, outer = self._app("inner", "workflow"), self._app("outer", "workflow")
        for day in DAYS:
            at = day + timedelta(hours=3)
            run, called = self._run(outer, at), self._run(inner, at + timedelta(seconds=1))
            for around in ("iteration", "loop"):
                price, tokens = self._ask(run, at, GPT_4O, inside=around)
                self._note(outer, at, "bob", GPT_4O, price)
                self._repeat(run, at, around, price, tokens)
            price, tokens = self._ask(called, at + timedelta(seconds=1), MINI)
            self._note(inner, at, "bob", MINI, price)
            self._repeat(run, at, "tool", price, tokens)
            for run_id in (run, called):
                self.world.finish_run(run_id, at=at + timedelta(seconds=9), total_tokens=tokens)

    def _agents(self) -> None:
        """Talks of people, one of an account that explores, and one of debugging: that one is in no
        log, so that nobody tells its price.
        """
        app = self.world.add_agent_app(
            name="trips",
            at=NOW - timedelta(days=50),
            created_by=self.world.account_id,
            tenant_id=self.world.workspace_id,
            model=GPT_4O.name,
        )
        for day in DAYS:
            for number in range(6):
                at = day + timedelta(minutes=number)
                person = {4: "explore", 5: "debugger"}.get(number)
                if person is None:
                    row, person = self._by_person(app, at, PEOPLE[number % 4]), PEOPLE[number % 4]
                else:
                    row = self._by_account(app, at, person)
                message = self.world.add_message(row.id, at=at, answer=None)
                self.world.finish_message(
                    message.id, prompt_tokens=900 + self.chance.randrange(300), answer_tokens=200
                )
                if row.invoke_from != "debugger":
                    who = person if number < 4 else self.world.account_id
                    self._note(app, at, who, GPT_4O, message.total_price or Decimal(0))

    def _run(self, app: App, at: datetime) -> str:
        user = self._end_user(app, "bob", at)
        return self.world.start_run(app.id, at=at, end_user_id=user).id

    def _ask(
        self, run_id: str, at: datetime, model: Model, inside: str | None = None
    ) -> tuple[Decimal, int]:
        """A node that asks a model; answers price and tokens."""
        node = self.world.add_node(run_id, at=at, status="succeeded")
        usage = usage_of(500 + self.chance.randrange(900), self.chance.randrange(400), 1.5, model)
        node.process_data, told = node_usage(usage, model)
        node.execution_metadata = told | ({f"{inside}_id": inside} if inside else {})
        node.finished_at = at + timedelta(milliseconds=1500)
        tokens = usage["total_tokens"]
        assert isinstance(tokens, int)
        return Decimal(str(usage["total_price"])), tokens

    def _repeat(self, run_id: str, at: datetime, kind: str, price: Decimal, tokens: int) -> None:
        """A node that tells the price of others once more."""
        node = self.world.add_node(run_id, at=at, node_id=kind, node_type=kind, status="succeeded")
        told = {"total_price": str(price), "total_tokens": tokens, "currency": "USD"}
        tool = {"tool_info": {"provider_type": "workflow", "provider_id": "inner"}}
        node.execution_metadata = {**told, **(tool if kind == "tool" else {})}
        node.finished_at = at + timedelta(seconds=5)

    def _app(self, name: str, mode: str, model: Model | None = None) -> App:
        world, at = self.world, NOW - timedelta(days=50)
        row = world.add_app(
            name=name,
            mode=mode,
            at=at,
            created_by=world.account_id,
            tenant_id=world.workspace_id,
        )
        if model is not None:
            row.app_model_config = AppModelConfig(
                id=world.new_id(),
                model={
                    "provider": model.provider,
                    "name": model.name,
                    "mode": "chat",
                    "completion_params": {},
                },
                pre_prompt=None,
                created_by=world.account_id,
                created_at=at,
            )
        return row

    def _end_user(self, app: App, person: str, at: datetime) -> str:
        for row in self.world.end_users.values():
            if (row.app_id, row.session_id) == (app.id, person):
                return row.id
        return self.world.add_end_user(app.id, session_id=person, at=at).id

    def _by_person(self, app: App, at: datetime, person: str) -> Conversation:
        user = self._end_user(app, person, at)
        return self.world.add_conversation(app.id, at=at, end_user_id=user)

    def _by_account(self, app: App, at: datetime, caller: str) -> Conversation:
        account = self.world.account_id
        return self.world.add_conversation(app.id, at=at, account_id=account, invoke_from=caller)

    def _note(self, app: App, at: datetime, person: str, model: Model, price: Decimal) -> None:
        self.ledger[app.name, at.date(), person, model.name, model.currency] += price

    def of_apps(self, *names: str) -> dict[Key, Decimal]:
        """The truth of some apps; what cost nothing is left out."""
        return {key: price for key, price in self.ledger.items() if key[0] in names and price}

    def sums(
        self, places: tuple[int, ...], names: tuple[str, ...]
    ) -> dict[tuple[object, ...], Decimal]:
        """The truth of some apps, added up by some places of the key."""
        found: defaultdict[tuple[object, ...], Decimal] = defaultdict(Decimal)
        for key, price in self.of_apps(*names).items():
            found[tuple(key[place] for place in places)] += price
        return dict(found)
