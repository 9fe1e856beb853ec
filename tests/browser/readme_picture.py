"""Takes the picture of README.md: two users of the playground who have talked.

python -m tests.browser.readme_picture
"""

import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.servers import ROOT, serving

from .chromium import chromium_running, find_chromium
from .two_users import Playground
from .watched_page import watched

PICTURE = ROOT / "docs" / "images" / "playground.png"
MAX_BYTES = 200_000
COLORS = 128


def main() -> int:
    path = find_chromium()
    if path is None:
        print("make screenshot: no Chromium was found. CHROMIUM names one.")
        return 1
    PICTURE.parent.mkdir(exist_ok=True)
    with (
        tempfile.TemporaryDirectory() as name,
        serving("daphne", Path(name)) as server,
        chromium_running(path) as browser,
        watched(browser, server.http, width=1440) as seen,
    ):
        playground = Playground(seen.page)
        playground.from_start_page()
        playground.say("left", "Where do we go on Saturday?")
        playground.expect_in_log("right", "Where do we go")
        playground.say("right", "To the lake, if it does not rain.")
        playground.expect_ladder("ok", "No gap up to version 2")
        seen.page.screenshot(path=PICTURE)
    shrink(PICTURE)
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size} bytes")
    return 0


def shrink(picture: Path) -> None:
    """Reduces the colours: a page has few, and the file becomes a third."""
    with Image.open(picture) as image:
        reduced = image.convert("RGB").quantize(COLORS)
    reduced.save(picture, optimize=True)
    assert picture.stat().st_size < MAX_BYTES


if __name__ == "__main__":
    sys.exit(main())
