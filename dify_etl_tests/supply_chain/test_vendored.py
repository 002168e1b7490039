"""What stands here of others is what they published, with its licence, and in the bill."""

from pathlib import Path

from supply_chain.vendored import HERE, changed_files, vendored, with_vendored

ROOT = HERE.parent


def test_files_are_as_published(tmp_path: Path) -> None:
    """The digest is that of the file; the file tells the same version; a licence stands beside."""
    assert changed_files() == []
    for one in vendored():
        file = ROOT / one["file"]
        assert f'version="{one["version"]}"' in file.read_text("utf-8")
        assert "Apache License" in (file.parent / "LICENSE").read_text("utf-8")
        spoiled = tmp_path / one["file"]
        spoiled.parent.mkdir(parents=True)
        spoiled.write_bytes(file.read_bytes() + b" ")
    assert changed_files(tmp_path) == [one["file"] for one in vendored()]


def test_bill_has_them() -> None:
    """As something that the project itself depends on."""
    bill = with_vendored(
        {
            "metadata": {"component": {"bom-ref": "root"}},
            "components": [],
            "dependencies": [{"ref": "root", "dependsOn": ["httpx==1"]}],
        }
    )
    refs = [one["purl"] for one in vendored()]
    assert [one["bom-ref"] for one in bill["components"]] == refs
    assert bill["dependencies"][0]["dependsOn"] == ["httpx==1", *refs]
