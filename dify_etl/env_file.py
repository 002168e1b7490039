"""The file `.env`: settings are written into it in one step, and it holds passwords."""

from pathlib import Path

from dify_etl.dotenv_text import ValueUnwritable, with_values
from dify_etl.private_files import replace_file, sweep_unfinished
from dify_etl.settings import SettingWrong

_BREAKS = frozenset("\r\n\0")


def write_env(path: Path, values: dict[str, str], *, is_private: bool = True) -> None:
    """Set variables, and leave every other line and comment as it is. A new file has mode 0600, and
    so has an old one afterwards where it `is_private`, else it keeps its own.

    SettingWrong when the file cannot be read or written, or a value would not be read back as it
    is.
    """
    path = path.resolve()  # a link stays one: the file behind it changes
    for name, value in values.items():
        if _BREAKS & set(value):
            raise _unwritable(name, path)
    try:
        held = path.read_bytes().decode("utf-8") if path.exists() else ""
        text = with_values(held, values)
        sweep_unfinished(path)
        replace_file(path, text.encode(), keeps_rights=not is_private)
    except ValueUnwritable as error:
        raise _unwritable(str(error), path) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = "it is no UTF-8 text" if isinstance(error, UnicodeError) else error.strerror
        raise SettingWrong(
            f"{path.name} cannot be written: {reason}",
            where=str(path),
            hint="Give this folder and file to whoever runs dify-etl, or set the variables in the "
            "environment.",
        ) from None


def _unwritable(name: str, path: Path) -> SettingWrong:
    """The value, a password perhaps, is not shown."""
    return SettingWrong(
        f"the value of {name} cannot stand in a file of settings: it has more than one line, or "
        "would be read back as another value",
        where=str(path),
        hint=f"Set {name} in the environment, or choose another value.",
    )
