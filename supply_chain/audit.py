"""`make audit`: known weaknesses of the dependencies (pip-audit), doubtful code of ours (bandit).

pip-audit passes over what its database does not know, and is green when it knows nothing at all.
So a package that is known to be weak is asked about, too: who finds nothing against it has no data.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

GOOD, FOUND, NO_DATA = 0, 1, 3
# Weak since 2014 (CVE-2014-1402); nobody installs it.
KNOWN_WEAK = "jinja2==2.4.1\n"
REVIEWED = Path("supply_chain/reviewed.toml")
LOCKS = ("requirements.lock", "deploy/cluster/requirements.lock")  # the second: beside the first


@dataclass(frozen=True)
class Verdict:
    """What one tool found, and why it does not know everything."""

    found: tuple[str, ...] = ()
    no_data: tuple[str, ...] = ()


def of_dependencies(report: Any, of_known_weak: Any) -> Verdict:
    """From pip-audit's reports on our lock file and on a package that is known to be weak.

    None for a report that was not made.
    """
    if not isinstance(report, dict) or not report.get("dependencies"):
        return Verdict(no_data=("pip-audit made no report",))
    found, unknown = [], []
    for one in report["dependencies"]:
        if "vulns" not in one:
            unknown.append(one["name"])
            continue
        found += [
            f"{one['name']} {one['version']}: {weakness['id']}, mended in "
            f"{', '.join(weakness.get('fix_versions') or ()) or 'no version'}"
            for weakness in one["vulns"]
        ]
    no_data = []
    if unknown:
        no_data.append(
            f"the database told nothing of {len(unknown)} of {len(report['dependencies'])} "
            f"packages ({', '.join(unknown[:5])}{', …' if len(unknown) > 5 else ''})"
        )
    known = of_known_weak.get("dependencies", []) if isinstance(of_known_weak, dict) else []
    if not any(one.get("vulns") for one in known):
        no_data.append(f"the database knows nothing against {KNOWN_WEAK.strip()}, which is weak")
    return Verdict(tuple(found), tuple(no_data))


def of_code(report: Any, reviewed: Mapping[str, Mapping[str, int]]) -> Verdict:
    """From bandit's report; `reviewed`: test -> file -> how many findings a person looked at."""
    if not isinstance(report, dict) or not report["metrics"]["_totals"]["loc"]:
        return Verdict(no_data=("bandit looked at nothing",))
    counted = Counter((one["test_id"], one["filename"]) for one in report["results"])
    allowed = {
        (test, file): count for test, files in reviewed.items() for file, count in files.items()
    }
    found = [
        f"{one['filename']}:{one['line_number']}: {one['test_id']} {one['issue_text']}"
        for one in report["results"]
        if counted[key := (one["test_id"], one["filename"])] > allowed.get(key, 0)
    ]
    found += [
        f"{REVIEWED}: {file} has {counted[test, file]} findings of {test}, not {count}: lower it"
        for (test, file), count in allowed.items()
        if counted[test, file] < count
    ]
    unread = [f"bandit could not read {one['filename']}" for one in report["errors"]]
    return Verdict(tuple(found), tuple(unread))


def exit_code(verdicts: Sequence[Verdict]) -> int:
    """3 when anything is not known, whatever else was found; 1 when something was found."""
    if any(one.no_data for one in verdicts):
        return NO_DATA
    return FOUND if any(one.found for one in verdicts) else GOOD


def report_of(command: Sequence[str]) -> Any:
    """The JSON that a command wrote into the file `{}`; None when it wrote none.

    Its exit code is not looked at: pip-audit has one for weaknesses, errors and no network.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "report.json")
        try:
            subprocess.run([word.replace("{}", str(path)) for word in command], check=False)
            return json.loads(path.read_text("utf-8"))
        except (OSError, ValueError):
            return None


def dependencies_verdict(pip_audit: Sequence[str], lock: Path) -> Verdict:
    """What is known against the packages of a lock file with hashes."""
    told = [*pip_audit, "--disable-pip", "--progress-spinner=off", "--format=json", "--output={}"]
    with tempfile.TemporaryDirectory() as folder:
        weak = Path(folder, "weak.txt")
        weak.write_text(KNOWN_WEAK)
        of_ours = report_of([*told, "--require-hashes", "--requirement", str(lock)])
        return of_dependencies(of_ours, report_of([*told, "--no-deps", "--requirement", str(weak)]))


def code_verdict(bandit: Sequence[str], folders: Sequence[str], reviewed: Path) -> Verdict:
    """What bandit says about folders beyond what was reviewed."""
    options = ["--configfile=pyproject.toml", "--format=json", "--output={}"]
    report = report_of([*bandit, "--quiet", "--recursive", *options, *folders])
    return of_code(report, tomllib.loads(reviewed.read_text("utf-8")))


def main() -> None:
    """Run both, tell all, end with the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pip-audit", required=True, help="the program pip-audit")
    parser.add_argument("--bandit", required=True, help="the program bandit")
    asked = parser.parse_args()
    verdicts = [
        code_verdict([asked.bandit], ("dify_etl", "dify_simulated"), REVIEWED),
        *(dependencies_verdict([asked.pip_audit], Path(lock)) for lock in LOCKS),
    ]
    code = exit_code(verdicts)
    for one in verdicts:
        for line in one.found:
            print(f"found: {line}")
    for one in verdicts:
        for line in one.no_data:
            print(f"no data: {line}")
    print(
        {
            GOOD: "audit: nothing is known against the dependencies and the code",
            FOUND: "audit: something was found, see above",
            NO_DATA: "audit: no data, so this says nothing; it needs https://pypi.org",
        }[code]
    )
    sys.exit(code)


if __name__ == "__main__":
    main()
