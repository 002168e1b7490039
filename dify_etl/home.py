"""A home: what stands where in it, and who may read it.

That is its owner alone; the published copy may be for others, if they are told. A home holds every
conversation of a company, sessions, and what rotations are about to do.
"""

import grp
import json
import os
import pwd
import re
import stat
import tempfile
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dify_etl.private_files import PRIVATE_FILE, PRIVATE_FOLDER, made_once, replace_file

LIVE, COPY = "live.duckdb", "dify.duckdb"
WORKSPACES_FOLDER = "workspaces"  # the folder of homes of several workspaces, below DIFY_ETL_HOME
SIMULATED, SERVER = "simulated", "server"  # what a home remembers of the Dify that it belongs to
# Files and folders that dify-etl makes; whatever else stands in a home is somebody's own.
_OURS = re.compile(
    r"\.?(live|dify)\.duckdb(\..*)?|\.?session\.json.*|fingerprint\.key|people\.salt|(world|home)\.json"
    r"|(sync|rotation)\.lock|key_rotations\.sqlite.*|audit\.jsonl|escrow|exports|reports|dagster|demo|schedule_tokens"
    r"|query_history|alerts\.(sqlite.*|lock)|shared_warehouse\.json|home\.id"
)


@dataclass(frozen=True)
class Home:
    """The folder that DIFY_ETL_HOME names, by what stands in it."""

    path: Path

    @property
    def live(self) -> Path:
        """What syncs write, and nobody else opens."""
        return self.path / LIVE

    @property
    def copy(self) -> Path:
        """The copy for analysts, unless DIFY_ETL_COPY puts it elsewhere."""
        return self.path / COPY

    @property
    def session(self) -> Path:
        """The session with Dify."""
        return self.path / "session.json"

    @property
    def note(self) -> Path:
        """What the home remembers of itself."""
        return self.path / "home.json"

    @property
    def identity(self) -> Path:
        """The id by which the shared warehouse tells homes of one workspace apart."""
        return self.path / "home.id"

    @property
    def world(self) -> Path:
        """Which simulated workspace a demo's home has."""
        return self.path / "world.json"

    @property
    def fingerprint(self) -> Path:
        """The key of the API keys' fingerprints."""
        return self.path / "fingerprint.key"

    @property
    def people_salt(self) -> Path:
        """The salt of the pseudonyms of people, with DIFY_ETL_PEOPLE=hash."""
        return self.path / "people.salt"

    @property
    def audit(self) -> Path:
        """What was done to Dify, as JSON lines."""
        return self.path / "audit.jsonl"

    @property
    def rotations(self) -> Path:
        """The ledger of rotations, in SQLite."""
        return self.path / "key_rotations.sqlite"

    @property
    def sync_lock(self) -> Path:
        """Whoever syncs holds its lock."""
        return self.path / "sync.lock"

    @property
    def rotation_lock(self) -> Path:
        """Whoever rotates keys holds its lock."""
        return self.path / "rotation.lock"

    @property
    def alerts(self) -> Path:
        """What went wrong, and who was told so, in SQLite."""
        return self.path / "alerts.sqlite"

    @property
    def alerts_lock(self) -> Path:
        """Whoever evaluates and sends alerts holds its lock."""
        return self.path / "alerts.lock"

    @property
    def shared_note(self) -> Path:
        """Since when the shared warehouse is behind, and why; not there: it is not."""
        return self.path / "shared_warehouse.json"

    @property
    def escrow(self) -> Path:
        """The folder of what is kept of deleted apps."""
        return self.path / "escrow"

    @property
    def exports(self) -> Path:
        """The folder of exported apps, unless DIFY_ETL_EXPORTS names another."""
        return self.path / "exports"

    @property
    def reports(self) -> Path:
        """The folder of reports."""
        return self.path / "reports"

    @property
    def schedule_tokens(self) -> Path:
        """The folder of tokens by which runs show that a schedule asked for them."""
        return self.path / "schedule_tokens"

    @property
    def query_history(self) -> Path:
        """What was asked in the plain shell."""
        return self.path / "query_history"

    @property
    def dagster(self) -> Path:
        """Dagster's own files, unless DAGSTER_HOME names another folder."""
        return self.path / "dagster"

    @property
    def demo(self) -> Path:
        """The home of the simulated Dify, so that data never mix."""
        return self.path / "demo"


@dataclass(frozen=True)
class Access:
    """Who may read the published copy beside the owner: bits of its mode, and its group."""

    mode: int = PRIVATE_FILE
    gid: int | None = None

    @property
    def is_shared(self) -> bool:
        """Whether others than the owner may."""
        return bool(self.mode & 0o077)

    @property
    def through(self) -> int:
        """The bits that a folder needs, so that these reach the copy in it and list nothing."""
        group = 0o010 if self.mode & 0o040 else 0
        return group | (0o001 if self.mode & 0o004 else 0)


def other_readers(home: Path) -> str | None:
    """Who beside the owner may read what dify-etl keeps in a home, in words; None: nobody.

    The copy is left out: who reads it, is set.
    """
    files = [path for path in _own(home) if path.is_file() and path.name != COPY]
    for what, reads, passes in (
        ("every account of this machine", stat.S_IROTH, stat.S_IXOTH),
        (f"the group {_group_name(home)}", stat.S_IRGRP, stat.S_IXGRP),
    ):
        if files and _can_pass(home, passes):
            open_to = sorted(path.name for path in files if path.stat().st_mode & reads)
            if open_to:
                return f"{what} (folder {_octal(home)}; {', '.join(open_to[:5])})"
    return None


def make_private(home: Path, access: Access | None = None, copy: Path | None = None) -> None:
    """The folder 0700, what dify-etl keeps in it 0600, folders of it 0700, and the copy as `access`
    says; where the copy stands in the home, its readers may pass through, but list nothing.

    The mode of a folder that also serves others (`is_shared`) stays. Raises OSError.
    """
    access = access or Access()
    copy = copy or Home(home).copy
    is_inside = copy.parent.resolve() == home.resolve()
    for path in _own(home):
        wanted = PRIVATE_FOLDER if path.is_dir() else PRIVATE_FILE
        if path != copy and stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(wanted)
    if copy.exists():
        give(copy, access)
    if not is_shared(home):
        _set(home, PRIVATE_FOLDER | (access.through if is_inside else 0))
        if is_inside and access.gid is not None and home.stat().st_gid != access.gid:
            os.chown(home, -1, access.gid)


def give(path: Path, access: Access) -> None:
    """Let those read a file whom `access` names. Raises OSError."""
    if access.gid is not None and path.stat().st_gid != access.gid:
        os.chown(path, -1, access.gid)
    _set(path, access.mode)


def is_shared(home: Path) -> bool:
    """Whether the folder is not the home's alone: it had other files when it became a home, or it
    is one that a machine or a user lives in.
    """
    place = home.resolve()
    lived_in = {Path("/"), Path.cwd(), Path(tempfile.gettempdir()).resolve()}
    with suppress(RuntimeError, OSError):
        lived_in.add(Path.home().resolve())
    if place in lived_in or place.stat().st_mode & stat.S_ISVTX:
        return True
    return bool(remembered(home).get("is_shared"))


def remembered(home: Path) -> dict[str, object]:
    """What a home wrote down of itself: `dify` (server or simulated), `is_shared`."""
    try:
        held = json.loads(Home(home).note.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def is_home(folder: Path) -> bool:
    """Whether a folder is a home: it wrote down which Dify it is of."""
    return remembered(folder).get("dify") in (SERVER, SIMULATED)


def remember(home: Path, note: dict[str, object]) -> None:
    """Write that down, for the owner alone. Raises OSError."""
    replace_file(Home(home).note, json.dumps(note).encode())


def home_id(home: Path) -> str:
    """The id of a home, made when it is first asked for; a home that is moved, copied or restored
    keeps it. Raises OSError.
    """
    return made_once(Home(home).identity, lambda: f"{uuid.uuid4()}\n".encode()).decode().strip()


def is_ours(name: str) -> bool:
    """Whether dify-etl makes a file or folder of this name in a home."""
    return _OURS.fullmatch(name) is not None


def holds_others(home: Path) -> bool:
    """Whether something stands in a folder that dify-etl did not make."""
    names = {path.name for path in home.iterdir()}
    return any(not is_ours(name) for name in names - {WORKSPACES_FOLDER})


def _own(home: Path) -> list[Path]:
    """What dify-etl keeps in a home; links are left alone, they are the operator's."""
    if not home.is_dir():
        return []
    return [one for one in home.iterdir() if is_ours(one.name) and not one.is_symlink()]


def _can_pass(home: Path, bit: int) -> bool:
    """Whether others (or the home's group) get as far as into the folder."""
    place, gid = home.resolve(), home.stat().st_gid
    for folder in (place, *place.parents):
        held = folder.stat()
        is_group = bit == stat.S_IXGRP and held.st_gid == gid and held.st_mode & stat.S_IXGRP
        if not (held.st_mode & stat.S_IXOTH or is_group):
            return False
    return bool(place.stat().st_mode & bit)


def _set(path: Path, mode: int) -> None:
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)


def _octal(path: Path) -> str:
    return f"{stat.S_IMODE(path.stat().st_mode):04o}"


def _group_name(path: Path) -> str:
    gid = path.stat().st_gid
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def user_name() -> str:
    """The account that this process runs as."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"
