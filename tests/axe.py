"""axe-core, which finds what makes a page inaccessible; kept under .cache."""

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Any

VERSION = "4.10.2"
FOLDER = Path(__file__).resolve().parent.parent / ".cache" / "axe-core"
#: In pixels: a phone, or a zoom of 400 per cent; a tablet; a desktop.
WIDTHS = (320, 768, 1280)


def source() -> str:
    """Return axe's script, fetched once by npm."""
    path = FOLDER / f"axe-{VERSION}.min.js"
    if not path.exists():
        FOLDER.mkdir(parents=True, exist_ok=True)
        command = ["npm", "pack", "--silent", f"axe-core@{VERSION}"]
        subprocess.run(command, cwd=FOLDER, check=True, capture_output=True, timeout=120)
        archive = io.BytesIO((FOLDER / f"axe-core-{VERSION}.tgz").read_bytes())
        with tarfile.open(fileobj=archive) as files:
            member = files.extractfile("package/axe.min.js")
            assert member is not None
            path.write_bytes(member.read())
    return path.read_text()


def look_at(browser: Any, url: str) -> list[str]:
    """Return what is wrong with a page, at three widths, light and dark."""
    found = []
    for width in WIDTHS:
        for scheme in ("light", "dark"):
            _emulate(browser, width, scheme)
            browser.get(url)
            where = f"{url} at {width} in {scheme}"
            if browser.execute_script("return document.documentElement.scrollWidth") > width:
                found.append(f"{where}: wider than the screen")
            browser.execute_script(source())
            results = browser.execute_async_script(
                "const done = arguments[0]; axe.run().then(r => done(r.violations))"
            )
            found += [f"{where}: {each['id']}: {each['nodes'][0]['html']}" for each in results]
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    return found


def _emulate(browser: Any, width: int, scheme: str) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
