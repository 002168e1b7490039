"""Which workspaces of workspaces.toml a command is for."""

from collections.abc import Sequence

from dify_etl.setting_sources import WORKSPACE, SettingWrong, text_around
from dify_etl.settings import setting_names
from dify_etl.workspaces import all_workspaces, table_named, workspaces_path


def chosen_workspaces(asked: Sequence[str], *, may_be_several: bool) -> list[str]:
    """The names that were asked for, else the one of DIFY_ETL_WORKSPACE, else all of the file, in
    its order. Empty: there is no file, and nobody asks for a workspace.

    SettingWrong: no such workspace, or there are several and the command is for one.
    """
    fields, said = setting_names(), text_around(WORKSPACE)
    wanted = {table_named(name, fields).name for name in asked or ([said] if said else [])}
    names = [name for name in all_workspaces(fields) if not wanted or name in wanted]
    if len(names) > 1 and not may_be_several:
        raise SettingWrong(
            f"there are {len(names)} workspaces ({', '.join(names)}), and this command is for one",
            where=str(workspaces_path()),
            hint=f"Say which one: --workspace {names[0]}, or {WORKSPACE}={names[0]}.",
        )
    return names
