"""What an operator fills in at Dagster's launchpad: one typed config per operation."""

import dagster as dg
from pydantic import Field

MOST_APPS = 10
MOST_REMOVED = 5
MOST_MEMBERS = 50
MOST_DOCUMENTS = 20

GIVEN_BY_A_SCHEDULE = (
    "Leave it empty, and give plan_id: the schedule gives each of its runs a token of its own, "
    "which is good for that run and no other."
)


class PlanConfig(dg.Config):
    """Shared by all: without a word nothing is changed, only the plan is shown."""

    dry_run: bool = Field(default=True, description="Only show the plan; false applies it.")
    plan_id: str = Field(
        default="", description="Id of the plan that a dry run showed; needed to apply it."
    )
    most: int = Field(default=1, ge=1, description="Most objects that this run may touch.")


class CreateAppConfig(PlanConfig):
    """Make an empty app."""

    name: str = Field(description="Name of the new app.")
    mode: str = Field(description="chat, agent-chat, advanced-chat, workflow or completion.")
    description: str = Field(default="", description="What it is for, up to 400 characters.")
    icon: str = Field(default="", description="An emoji.")
    icon_background: str = Field(default="", description="Colour, as #FFEAD5.")
    twin: bool = Field(default=False, description="Also when an app of this name exists.")


class UpdateAppConfig(PlanConfig):
    """Change an app; what is left out stays as it is."""

    app: str = Field(description="Id or name of the app.")
    name: str | None = Field(default=None, description="New name.")
    description: str | None = Field(default=None, description="New description.")
    icon: str | None = Field(default=None, description="An emoji.")
    icon_background: str | None = Field(default=None, description="Colour, as #FFEAD5.")
    is_icon_as_answer_icon: bool | None = Field(
        default=None, description="Whether answers show the app's icon."
    )
    max_active_requests: int | None = Field(
        default=None, ge=0, description="Parallel requests; 0: no limit."
    )
    is_site_on: bool | None = Field(default=None, description="The web app.")
    is_api_on: bool | None = Field(default=None, description="The service API.")
    model_config_file: str = Field(
        default="", description="JSON file with keys of Dify's model configuration to replace."
    )


class PublishAppsConfig(PlanConfig):
    """Publish the drafts of workflows and chatflows."""

    apps: list[str] = Field(description="Ids or names.")
    version_name: str = Field(default="", description="Name of the version, 20 characters.")
    comment: str = Field(default="", description="Comment, 100 characters.")
    most: int = Field(default=MOST_APPS, ge=1, description="Most apps to publish in this run.")


class ExportAppsConfig(dg.Config):
    """Write the DSL of apps into the folder DIFY_ETL_EXPORTS; changes nothing in Dify."""

    apps: list[str] = Field(default=[], description="Ids or names; empty: every app.")
    fail_on_secret: bool = Field(
        default=False, description="Fail when an app holds a secret, or may hold one."
    )


class ImportAppConfig(PlanConfig):
    """Make a new app of a DSL file, or overwrite the draft of one; nothing is published."""

    file: str = Field(description="A DSL file.")
    name: str = Field(default="", description="Another name than the file's, or than that of over.")
    over: str = Field(
        default="",
        description="Id or name of the app whose draft to overwrite; it keeps its name.",
    )
    twin: bool = Field(default=False, description="Also when an app of this name exists.")


class DeleteAppsConfig(PlanConfig):
    """Delete apps whose data are in the warehouse; the DSL and a manifest are kept in files."""

    apps: list[str] = Field(description="Ids or names.")
    names: list[str] = Field(default=[], description="The names of the apps, typed back.")
    accept_unproven: bool = Field(
        default=False, description="Also with data that were read without a proof."
    )
    synced_within_minutes: int = Field(
        default=60, ge=1, description="How old the app's last sync may be."
    )


class InviteMembersConfig(PlanConfig):
    """Invite people; who is a member already is left as it is."""

    emails: list[str] = Field(default=[], description="E-mails.")
    csv: str = Field(default="", description="CSV with the columns email and role.")
    role: str = Field(default="normal", description="admin, editor, normal, dataset_operator.")
    language: str = Field(default="", description="Language of the invitation, as en-US.")
    links_file: str = Field(
        default="", description="Private file for activation links; they stand nowhere else."
    )
    most: int = Field(default=MOST_MEMBERS, ge=1, description="Most people to invite.")


class SetMemberRoleConfig(PlanConfig):
    """Give members another role; only an owner may."""

    members: list[str] = Field(description="E-mails or ids.")
    role: str = Field(description="admin, editor, normal or dataset_operator.")
    most: int = Field(default=MOST_MEMBERS, ge=1, description="Most members to change.")


class RemoveMembersConfig(PlanConfig):
    """Remove members from the workspace."""

    members: list[str] = Field(description="E-mails or ids.")
    names: list[str] = Field(default=[], description="Their e-mails, typed back.")
    most: int = Field(default=MOST_REMOVED, ge=1, description="Most members to remove.")


class ExamineConfig(dg.Config):
    """How the indexing doctor looks."""

    datasets: list[str] = Field(default=[], description="Ids or names; empty: all datasets.")
    stuck_after_minutes: int = Field(
        default=30, ge=1, description="Minutes without progress after which it is stuck."
    )
    second_look_seconds: float = Field(
        default=10.0, ge=0, description="Seconds until the second look at those."
    )


class RetryIndexingConfig(PlanConfig, ExamineConfig):
    """Retry documents that failed or are stuck."""

    schedule_token: str = Field(default="", description=GIVEN_BY_A_SCHEDULE)
    tries: int = Field(default=3, ge=1, description="Tries after which a document is given up.")
    follow_seconds: float = Field(
        default=120.0, gt=0, description="Seconds for which each retry is followed."
    )
    most: int = Field(default=MOST_DOCUMENTS, ge=1, description="Most documents to retry.")
