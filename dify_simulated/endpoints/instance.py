"""What the server says about itself: /ping, /setup, /version, /system-features, /features."""

from __future__ import annotations

from dify_simulated.server.calls import Call, Need, Route
from dify_simulated.server.parameters import Parameter
from dify_simulated.server.presentation import known
from dify_simulated.world.rows import JsonObject


def ping(call: Call) -> object:
    """GET /ping."""
    return {"result": "pong"}


def setup_status(call: Call) -> object:
    """GET /setup: always finished; `setup_at` is ISO text in UTC without a zone."""
    return {"step": "finished", "setup_at": call.world.workspace.created_at.strftime("%FT%T")}


def version(call: Call) -> object:
    """GET /version: echoes what was sent when it cannot ask for the latest release."""
    asked = call.query("VersionQuery", Parameter("current_version", required=True))
    values: JsonObject = {
        "version": asked.text("current_version"),
        "release_date": "",
        "release_notes": "",
        "can_auto_update": False,
        "features": {"can_replace_logo": False, "model_load_balancing_enabled": False},
    }
    told = not call.version.since(1, 17)
    return known(values, release_date=told, can_auto_update=told, features=told)


def system_features(call: Call) -> object:
    """GET /system-features: the parts that a reader may meet; all of them as recorded from 1.16."""
    if call.version.answers_by_models:
        return _system_features(protocol=None if call.version.since(1, 17) else "")
    return {
        "sso_enforced_for_signin": False,
        "sso_enforced_for_signin_protocol": "",
        "enable_marketplace": True,
        "enable_email_code_login": False,
        "enable_email_password_login": True,
        "enable_social_oauth_login": False,
        "is_allow_register": False,
        "is_allow_create_workspace": False,
        "is_email_setup": False,
        "license": {"status": "none", "expired_at": ""},
        "branding": {"enabled": False, "application_title": "", "login_page_logo": ""},
        "webapp_auth": {"enabled": False, "allow_sso": False},
    }


def _system_features(*, protocol: str | None) -> JsonObject:
    return {
        "deployment_edition": "COMMUNITY",
        "enable_app_deploy": False,
        "sso_enforced_for_signin": False,
        "sso_enforced_for_signin_protocol": protocol,
        "enable_marketplace": False,
        "enable_email_code_login": False,
        "enable_email_password_login": True,
        "enable_social_oauth_login": False,
        "enable_collaboration_mode": True,
        "is_allow_register": False,
        "is_email_setup": False,
        "license": {"status": "none"},
        "branding": {
            "enabled": False,
            "application_title": "",
            "login_page_logo": "",
            "workspace_logo": "",
            "favicon": "",
        },
        "webapp_auth": {
            "enabled": False,
            "allow_sso": False,
            "sso_config": {"protocol": protocol},
            "allow_email_code_login": False,
            "allow_email_password_login": False,
            "allow_public_access": True,
        },
        "plugin_installation_permission": {
            "plugin_installation_scope": "all",
            "restrict_to_marketplace_only": False,
        },
        "enable_change_email": True,
        "enable_creators_platform": True,
        "enable_explore_banner": False,
        "enable_learn_app": True,
        "enable_step_by_step_tour": False,
        "rbac_enabled": False,
        "knowledge_fs_enabled": False,
    }


def features(call: Call) -> object:
    """GET /features: the limits of the current workspace's plan."""
    newer = call.version.since(1, 10)
    return known(
        _limits(),
        trigger_event=newer,
        api_rate_limit=newer,
        knowledge_pipeline=newer,
        next_credit_reset_date=newer,
        human_input_email_delivery_enabled=call.version.has_human_input,
        vector_space=not call.version.answers_by_models,
    )


def vector_space(call: Call) -> object:
    """GET /features/vector-space (from 1.16): apart from the other limits."""
    return _limits()["vector_space"]


def _limits() -> JsonObject:
    return {
        "billing": {"enabled": False, "subscription": {"plan": "sandbox", "interval": ""}},
        "education": {"enabled": False, "activated": False},
        "members": {"size": 0, "limit": 1},
        "apps": {"size": 0, "limit": 10},
        "vector_space": {"size": 0, "limit": 5},
        "knowledge_rate_limit": 10,
        "annotation_quota_limit": {"size": 0, "limit": 10},
        "documents_upload_quota": {"size": 0, "limit": 50},
        "docs_processing": "standard",
        "can_replace_logo": False,
        "model_load_balancing_enabled": False,
        "dataset_operator_enabled": False,
        "webapp_copyright_enabled": False,
        "workspace_members": {"enabled": False, "size": 0, "limit": 0},
        "is_allow_transfer_workspace": True,
        "trigger_event": {"usage": 0, "limit": 3000, "reset_date": 0},
        "api_rate_limit": {"usage": 0, "limit": 5000, "reset_date": 0},
        "human_input_email_delivery_enabled": True,
        "knowledge_pipeline": {"publish_enabled": False},
        "next_credit_reset_date": 0,
    }


ROUTES = (
    Route("GET", "/ping", ping, need=Need.NOTHING),
    Route("GET", "/setup", setup_status, need=Need.NOTHING),
    Route("GET", "/version", version, need=Need.NOTHING),
    Route("GET", "/system-features", system_features, need=Need.NOTHING),
    Route("GET", "/features", features),
    Route("GET", "/features/vector-space", vector_space, since=(1, 16)),
)
