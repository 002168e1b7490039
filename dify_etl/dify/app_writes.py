"""What is done to apps: made, changed, switched, exported, imported, deleted."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from dify_etl.dify import routes
from dify_etl.dify.app_records import App, AppDetail
from dify_etl.dify.errors import NotFound, NotSent, Refused, UnexpectedAnswer
from dify_etl.dify.http.answers import FAILED_IMPORTS
from dify_etl.dify.http.session import Query, Session
from dify_etl.dify.http.writes import Written, record_written
from dify_etl.dify.lists import page_of
from dify_etl.dify.model_config import ModelConfig
from dify_etl.dify.record import (
    Batch,
    JsonRow,
    KeyRecord,
    aliased,
    optional,
    parse_but_odd_fields,
    parse_one,
)

LONGEST_NAME = 255  # Dify answers 500 to a longer one
PENDING = "pending"


@dataclass(frozen=True)
class AppDraft:
    """An app to make. `mode`: chat, agent-chat, advanced-chat, workflow or completion.

    The description has at most 400 characters; Dify checks.
    """

    name: str
    mode: str
    description: str = ""
    icon_type: str = "emoji"
    icon: str = "🤖"
    icon_background: str = "#FFEAD5"


@dataclass(frozen=True)
class AppChanges:
    """What to change of an app; None leaves a thing as it is. `max_active_requests` 0: no limit."""

    name: str | None = None
    description: str | None = None
    icon_type: str | None = None
    icon: str | None = None
    icon_background: str | None = None
    use_icon_as_answer_icon: bool | None = None
    max_active_requests: int | None = None

    def given(self) -> dict[str, Any]:
        """The changes by Dify's names, without what stays."""
        told = {field.name: getattr(self, field.name) for field in fields(self)}
        return {key: value for key, value in told.items() if value is not None}


class DslImport(KeyRecord):
    """What became of an import (POST /apps/imports): no value of the DSL is kept.

    `status`: completed, or completed-with-warnings when the DSL is older than the server's.
    """

    import_id: str = aliased("id", description="id of the import")
    status: str = aliased("status", description="completed, completed-with-warnings, pending")
    app_id: str | None = optional(description="the app that was made or overwritten")
    app_mode: str | None = optional(description="its mode")
    current_dsl_version: str | None = optional(description="version of the DSL that Dify writes")
    imported_dsl_version: str | None = optional(description="version of the DSL that was sent")


class AppWrites:
    """The part of `dify.apps` that changes something. It takes an editor; the API switch an admin.

    Methods raise NotAllowed, AppGone, Refused, and WriteUnanswered when the outcome is unknown.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, app_id: str) -> AppDetail:
        """GET /apps/{app_id}: with the stored description and all settings. Raises AppGone."""
        answer = self._session.get(routes.APP, app_id=app_id)
        return parse_one(AppDetail, answer, endpoint=f"GET {routes.APP}")

    def detail(self, app_id: str) -> Batch[AppDetail]:
        """The same, without the fields that are odd, which are named beside it."""
        answer = self._session.get(routes.APP, app_id=app_id)
        return parse_but_odd_fields(AppDetail, answer, endpoint=f"GET {routes.APP}")

    def create(self, draft: AppDraft) -> Written[AppDetail]:
        """POST /apps: 201, every time another app, without a model config of its own.

        The answer lacks icon_type, icon_url, api_base_url, max_active_requests and site: they are
        None. Names are not unique: after WriteUnanswered look for the name and the newest
        `created_at`.
        """
        body = {field.name: getattr(draft, field.name) for field in fields(draft)}
        self._check_name(draft.name, f"POST {routes.APPS}")
        return _detail(self._session.write("POST", routes.APPS, body=body), f"POST {routes.APPS}")

    def update(self, app_id: str, changes: AppChanges) -> Written[AppDetail]:
        """PUT /apps/{app_id}: reads the stored app first, and changes only what is given.

        The server replaces: it empties what a PUT leaves out (from 1.11), or answers 500 (before).
        Somebody else's change between the reading and the writing is overwritten. From 1.11 on
        null texts come back as "", and a null `max_active_requests` as 0, whatever is sent.
        """
        body = {**self._stored(self.get(app_id)), **changes.given()}
        self._check_name(body["name"], f"PUT {routes.APP}")
        return _detail(
            self._session.write("PUT", routes.APP, body=body, app_id=app_id), f"PUT {routes.APP}"
        )

    def rename(self, app_id: str, name: str) -> Written[AppDetail]:
        """POST /apps/{app_id}/name: the name alone. The answer lacks what `create` lacks."""
        route = f"{routes.APP}/name"
        self._check_name(name, f"POST {route}")
        return self._posted(route, {"name": name}, app_id)

    def change_icon(self, app_id: str, changes: AppChanges) -> Written[AppDetail]:
        """POST /apps/{app_id}/icon: icon and colour alone, of what is given; the kind stays.

        Reads the stored app first, since what is left out is emptied. The answer lacks what
        `create` lacks.
        """
        stored = self._stored(self.get(app_id))
        told = {**stored, **changes.given()}
        body = {name: told[name] for name in ("icon_type", "icon", "icon_background")}
        return self._posted(f"{routes.APP}/icon", body, app_id)

    def delete(self, app_id: str) -> Written[None]:
        """DELETE /apps/{app_id}: 204, and no way back: export the DSL first.

        The row goes at once. Conversations, runs and keys go seconds later, when a worker comes; no
        endpoint reads them from this moment on.
        """
        return self._session.write("DELETE", routes.APP, app_id=app_id).holding(None)

    def switch_site(self, app_id: str, is_on: bool) -> Written[AppDetail]:
        """POST /apps/{app_id}/site-enable: the web app on or off."""
        return self._posted(f"{routes.APP}/site-enable", {"enable_site": is_on}, app_id)

    def switch_api(self, app_id: str, is_on: bool) -> Written[AppDetail]:
        """POST /apps/{app_id}/api-enable: the service API on or off; admins and owners only."""
        return self._posted(f"{routes.APP}/api-enable", {"enable_api": is_on}, app_id)

    def export_dsl(
        self, app_id: str, include_secret: bool = False, *, workflow_id: str | None = None
    ) -> str:
        """GET /apps/{app_id}/export: the app as YAML; of workflows the draft, or the version of
        this id. Older servers know no versions here, and answer the draft all the same.

        Needs the plugin daemon (else Refused 400). With `include_secret` the text holds the secret
        environment variables in the clear.
        """
        query: Query = {"include_secret": include_secret, "workflow_id": workflow_id}
        answer = self._session.get(routes.APP_EXPORT, query=query, app_id=app_id)
        dsl = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(dsl, str) or not dsl:
            raise UnexpectedAnswer(
                "the answer holds no DSL",
                where=f"GET {routes.APP_EXPORT}",
                hint="Report the server version and the endpoint.",
            )
        return dsl

    def import_dsl(
        self, dsl: str, *, app_id: str | None = None, name: str | None = None
    ) -> Written[DslImport]:
        """POST /apps/imports: a new app each time, or the draft of `app_id` overwritten.

        Only workflow and advanced-chat apps can be overwritten. Nothing is published. A DSL of a
        newer version than the server's waits for a confirmation, which is given: compare
        `imported_dsl_version` with `current_dsl_version`. A DSL that cannot be read is Refused.
        """
        body = {"mode": "yaml-content", "yaml_content": dsl, "app_id": app_id, "name": name}
        sent = {key: value for key, value in body.items() if value is not None}
        done = self._imported(routes.APP_IMPORTS, body=sent)
        if done.value.status != PENDING:
            return done
        return self._imported(routes.APP_IMPORT_CONFIRM, import_id=done.value.import_id)

    def _imported(
        self, route: str, *, body: Mapping[str, Any] | None = None, **ids: str
    ) -> Written[DslImport]:
        """A failed import is a 400 without a code; a text that may quote the DSL stays unread."""
        try:
            written = self._session.write("POST", route, body=body, **ids)
        except Refused as error:
            is_told = any(text in error.what for text in FAILED_IMPORTS)
            if error.status != 400 or error.code is not None or is_told:
                raise
            raise Refused(
                "Dify does not take the DSL",
                where=error.where,
                hint="Its reason may quote the DSL, so it is not told here: import the file in "
                "Dify's own pages to read it, or look at the log of the Dify API container.",
                status=error.status,
            ) from None
        return record_written(written, DslImport, endpoint=f"POST {route}")

    def model_config(self, app_id: str) -> ModelConfig:
        """The model config in GET /apps/{app_id}. Raises NotFound for modes that have none."""
        stored = self.get(app_id).app_model_config
        if stored is None:
            raise NotFound(
                "the app has no model config",
                where=f"GET {routes.APP}",
                hint="Only chat, agent-chat and completion apps have one; workflows have a draft.",
            )
        return ModelConfig.of(stored.load())

    def replace_model_config(self, app_id: str, config: ModelConfig) -> Written[None]:
        """POST /apps/{app_id}/model-config: replaces the whole config.

        Keys that are left out fall back to the server's defaults, unknown ones are dropped; the
        model with provider, name and completion_params is required. Secret parameters of tools that
        come back masked keep their value. Running conversations keep the config that they began
        with. Needs the plugin daemon. Raises Refused for any rule that is broken, AppGone for other
        modes.
        """
        written = self._session.write(
            "POST", routes.MODEL_CONFIG, body=config.body(), app_id=app_id
        )
        return written.holding(None)

    def change_model_config(self, app_id: str, changes: Mapping[str, Any]) -> Written[ModelConfig]:
        """Read the config, change it as `ModelConfig.changed` does, and write it whole.

        Answers what was sent. Somebody else's change in between is overwritten.
        """
        changed = self.model_config(app_id).changed(changes)
        return self.replace_model_config(app_id, changed).holding(changed)

    def _posted(self, route: str, body: Mapping[str, Any], app_id: str) -> Written[AppDetail]:
        return _detail(
            self._session.write("POST", route, body=body, app_id=app_id), f"POST {route}"
        )

    def _stored(self, app: AppDetail) -> JsonRow:
        """The body of a PUT that changes nothing; a null description breaks servers before 1.11."""
        return {
            "name": app.name,
            "description": app.description or "",
            "icon_type": app.icon_type,
            "icon": app.icon,
            "icon_background": app.icon_background,
            "use_icon_as_answer_icon": bool(app.is_icon_as_answer_icon),
            "max_active_requests": self.most_requests(app),
        }

    def most_requests(self, app: AppDetail) -> int | None:
        """`max_active_requests` of an app: 1.0 tells it in GET /apps only."""
        if "max_active_requests" in app.model_fields_set:
            return app.max_active_requests
        query: Query = {"limit": 100, "name": app.name}
        rows = page_of(
            App, self._session.get(routes.APPS, query=query), endpoint=f"GET {routes.APPS}"
        )
        return next((row.max_active_requests for row in rows if row.app_id == app.app_id), None)

    def _check_name(self, name: str, where: str) -> None:
        if not name.strip() or len(name) > LONGEST_NAME:
            raise NotSent(
                f"an app's name has 1 to {LONGEST_NAME} characters, not {len(name)}",
                where=where,
                hint="Give another name: Dify answers 500 to a longer one.",
            )


def _detail(written: Written[Any], endpoint: str) -> Written[AppDetail]:
    return record_written(written, AppDetail, endpoint=endpoint)
