"""Deploy a folder of DSL files: app after app, until all are as their files say."""

from functools import cached_property
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from dify_etl.dify.tags import LONGEST_NAME
from dify_etl.operations.applying import Operation
from dify_etl.operations.apps import every_app
from dify_etl.operations.deploying.contents import content_actions
from dify_etl.operations.deploying.file_apps import apps_of
from dify_etl.operations.deploying.folder import AppFolder, read_folder
from dify_etl.operations.deploying.handing_keys import key_actions
from dify_etl.operations.deploying.publication import publishing_actions
from dify_etl.operations.deploying.tagging import making_actions, tagging_actions
from dify_etl.operations.errors import InputWrong
from dify_etl.operations.request import Argument, OperationContext, Option, PlannedRequest

DEPLOY = "apps.deploy"


class DeployApps(PlannedRequest):
    """Make the apps of a folder of DSL files, or replace what they hold, and publish them; each
    gets the tags that are given, and its first API key where the rotation policy names it. An app
    that is as its file says is left alone. It ends at the first app that cannot be deployed.
    """

    folder: Annotated[Path, Argument("DIR")] = Field(
        description="A folder of DSL files, as `apps export` writes them."
    )
    tags: Annotated[list[str], Option("--tag", "NAME")] = Field(
        default=[], description="Tag of every app; one that there is not yet is made."
    )

    @model_validator(mode="after")
    def _check(self) -> Self:
        """What is wrong is told before Dify is asked."""
        _ = self.content
        wrong = [tag for tag in self.tags if not tag.strip() or len(tag) > LONGEST_NAME]
        if wrong:
            raise InputWrong(
                f"a tag's name has 1 to {LONGEST_NAME} characters, not {len(wrong[0])}",
                where="--tag, in Dagster `tags`",
                hint="Give another name.",
            )
        return self

    @cached_property
    def content(self) -> AppFolder:
        """The apps of the folder. InputWrong, with file and line."""
        return read_folder(self.folder)

    def plan(self, context: OperationContext) -> Operation:
        """The steps of each app, by file name; notes tell what is left alone."""
        operator, keys = context.operator, context.first_keys()
        tags = list(dict.fromkeys(self.tags))
        listed = every_app(operator.dify)
        found = apps_of(self.content.files, listed)
        actions = making_actions(operator.dify, tags)
        notes = list(self.content.left_alone)
        for one in found:
            # Tags come before keys: the policy may name an app by its tag.
            own = [
                *(written := content_actions(operator, one, listed)),
                *publishing_actions(operator.dify, one, is_written=bool(written)),
                *tagging_actions(operator.dify, one, tags),
                *key_actions(keys, one, tags),
            ]
            actions += own
            if not own:
                notes.append(f"{one.file.path.name}: the app {one.file.name!r} is as the file says")
        return operator.operation(DEPLOY, actions, notes, is_sequence=True)
