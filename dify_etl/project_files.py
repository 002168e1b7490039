"""Files of the project that are no Python: models, documents, settings of Dagster."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent
# Where a wheel puts them. They are not looked for beside an installed package: other projects leave
# folders such as docs/ there.
_INSTALLED = _PACKAGE / "_project"


def project_file(name: str) -> Path:
    """A file or folder: inside the package when installed, beside it in a checkout."""
    return (_INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent) / name
