"""Which workspaces of workspaces.toml a command is for."""

from collections.abc import Sequence

from dify_etl.setting_sources import WORKSPACE, SettingWrong, text_around
from dify_etl.settings import setting_names
from dify_etl.suggestions import did_you_mean
from dify_etl.workspaces import all_workspaces, workspaces_path


def chosen_workspaces(asked: Sequence[str], *, may_be_several: bool) -> list[str]:
    """The names that were asked for, else the one of DIFY_ETL_WORKSPACE, else all of the file, in
    its order. Empty: there is no file, and nobody asks for a workspace.

    SettingWrong: no such workspace, or there are several and the command is for one.
    """
    known = list(all_workspaces(setting_names()))
    said = text_around(WORKSPACE)
    wanted = list(dict.fromkeys(asked or ([said] if said else [])))
    path = workspaces_path()
    for name in wanted:
        if name in known:
            continue
        where = "--workspace" if asked else WORKSPACE
        if path is None:
            raise SettingWrong(
                f"there is no workspaces.toml that would tell what the workspace {name!r} is",
                where=where,
                hint="Write one: `dify-etl docs many-workspaces`; or leave the workspace out.",
            )
        raise SettingWrong(
            f"there is no workspace {name!r} in {path.absolute()}",
            where=where,
            hint=f"{did_you_mean(name, known)}Workspaces: {', '.join(known)}.",
        )
    names = [name for name in known if name in wanted] if wanted else known
    if len(names) > 1 and not may_be_several:
        raise SettingWrong(
            f"there are {len(names)} workspaces ({', '.join(names)}), and this command is for one",
            where=str(path.absolute()) if path else WORKSPACE,
            hint=f"Say which one: --workspace {names[0]}, or {WORKSPACE}={names[0]}.",
        )
    return names
