"""Pictures of a report of the demo, in both languages, for the README: `make screenshots`."""

import base64
import tempfile
from pathlib import Path

from dify_etl.home import COPY, Home
from dify_etl.report.writing import write_report
from dify_etl.settings import load_settings
from dify_etl_tests.ui.chromium import Tab, chromium

IMAGES = Path(__file__).parents[2] / "docs" / "images"
WIDTH, HEIGHT = 1100, 1000
# Picture -> what is chosen, and the section that stands at the top.
VIEWS = {
    "report-en.png": ("language=en&theme=light&days=28", "title"),
    "report-zh.png": ("language=zh&theme=dark&days=28", "costs"),
}


def take(tab: Tab, report: Path, address: str, section: str) -> bytes:
    """What a window of that size shows of the report, as PNG."""
    size = {"width": WIDTH, "height": HEIGHT}
    tab.call("Emulation.setDeviceMetricsOverride", **size, deviceScaleFactor=1, mobile=False)
    tab.open("about:blank")
    tab.open(f"{report.as_uri()}#{address}")
    tab.run(f"document.getElementById('{section}').scrollIntoView()")
    taken = tab.call("Page.captureScreenshot", format="png", optimizeForSpeed=False)
    return base64.b64decode(taken["data"])


def main() -> None:
    """Write the pictures; fonts with Chinese characters (fonts-noto-cjk) have to be installed."""
    home = Home(load_settings().home).demo
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        report = Path(folder, "report.html")
        write_report(home / COPY, report)
        with chromium(Path(folder, "profile"), "x.invalid") as opened:
            tab = opened()
            tab.call("Emulation.setScrollbarsHidden", hidden=True)
            for name, (address, section) in VIEWS.items():
                (IMAGES / name).write_bytes(take(tab, report, address, section))
                print(f"{IMAGES / name}: {(IMAGES / name).stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
