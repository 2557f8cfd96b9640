"""The real page of a real ComfyUI in headless Chromium.

Chromium and its driver are programs, not Python packages: they are looked for on the PATH. Where they are missing the
tests are skipped with a word on what to install; in CI they fail. VMT_PICTURES=1 makes the pictures in `web/pictures`
and beside the workflows anew.
"""

import io
import json
import os
import shutil
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from vmt.demo.reference_clip import write_reference
from vmt.launch import base_folder, host_tree
from vmt.launch.server import Server

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage",
    "--force-device-scale-factor=1", "--window-size=2300,1250",
)  # fmt: skip
# What a first visit asks is answered beforehand; fewer pictures a second leave time for the rest on two cores; text is
# drawn at every zoom.
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "Comfy.Graph.CanvasInfo": False,
    "LiteGraph.Canvas.MaximumFps": 4,
    "LiteGraph.Canvas.MinFontSizeForLOD": 0,
    "LiteGraph.Canvas.LowQualityRenderingZoomThreshold": 0.1,
}
DOWNLOADED = {
    "diffusion_models": "wan2.1_t2v_1.3B_fp16.safetensors",
    "text_encoders": "umt5_xxl_fp8_e4m3fn_scaled.safetensors",
    "vae": "wan_2.1_vae.safetensors",
}


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A ComfyUI with this pack, the clip that the workflows name, and empty files in place of those that a user
    downloads for Wan 2.1."""
    base = base_folder.prepare(tmp_path_factory.mktemp("web"))
    write_reference(base / "input" / "reference.mp4")
    for folder, name in DOWNLOADED.items():
        (base / "models" / folder).mkdir(parents=True, exist_ok=True)
        (base / "models" / folder / name).touch()
    with Server(Path(sys.executable), host_tree.current(), base, ["--cpu"]) as running:
        running.request("/settings", json.dumps(SETTINGS).encode())
        yield running


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    webdriver = _selenium()
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    driver = shutil.which("chromedriver")
    if not program or not driver:
        _missing("Chromium and chromedriver are not on the PATH; on Debian: apt-get install chromium chromium-driver.")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    started.set_script_timeout(300)
    started.set_page_load_timeout(300)
    yield started
    started.quit()


@pytest.fixture(scope="session")
def page(browser, server):
    return Page(browser, server)


class Page:
    """ComfyUI's page. What JavaScript returns comes back as plain Python values."""

    def __init__(self, browser, server):
        self.browser, self.server = browser, server
        browser.get(server.url + "/system_stats")  # local storage belongs to an address: be there first
        browser.execute_script("localStorage.setItem('vueNodesBannerDismissed', 'true')")
        browser.get(server.url)
        self.wait_for("window.app?.graph?.nodes?.length && app.extensionManager", "the page with its first graph")

    def do(self, body: str, *arguments):
        """The value of an async JavaScript function body; its arguments are `args`. Raises what it throws."""
        script = (
            "const args = [...arguments], done = args.pop(); (async () => {" + body + "})()"
            ".then(value => done([JSON.stringify(value ?? null)]), error => done([null, String(error.stack ?? error)]))"
        )
        value, *thrown = self.browser.execute_async_script(script, *arguments)
        assert not thrown, thrown[0]
        return json.loads(value)

    def wait_for(self, expression: str, what: str, *arguments, seconds: float = 120):
        """Returns once a JavaScript expression is true."""
        ends = time.monotonic() + seconds
        while not self.browser.execute_script(f"const args = arguments; return !!({expression})", *arguments):
            assert time.monotonic() < ends, f"waited {seconds:.0f} s in vain for {what}"
            time.sleep(0.25)

    def open_template(self, file: Path):
        """A workflow of ours by way of the template browser, as a user opens it."""
        self.do("await app.extensionManager.command.execute('Comfy.BrowseTemplates')")
        card = f"document.querySelector('[data-testid=\"template-workflow-{file.stem}\"]')"
        self.wait_for(card, f"{file.stem} among the templates")
        seen = (
            f"(card => (card?.scrollIntoView(), card?.querySelector('img')?.naturalWidth))({card})"  # loaded when seen
        )
        self.wait_for(seen, f"the picture of {file.stem} among the templates")
        self.do(f"{card}.click()")
        self.wait_for("app.graph.id === args[0]", f"{file.stem} on the canvas", json.loads(file.read_text())["id"])
        self.wait_for(f"!{card}", "the template browser to close")

    def picture(self, target: Path, width: int):
        """The whole graph as the page draws it now, scaled to a width in pixels."""
        from selenium.common.exceptions import WebDriverException

        self.do("await app.extensionManager.command.execute('Comfy.Canvas.FitView')")
        time.sleep(2)  # it moves there smoothly
        for attempt in range(5):
            try:
                seen = Image.open(io.BytesIO(self.browser.get_screenshot_as_png())).convert("RGB")
                break
            except WebDriverException:  # the driver gives the page 10 s, which a busy machine may exceed
                if attempt == 4:
                    raise
        seen = seen.resize((width, round(seen.height * width / seen.width)), Image.Resampling.LANCZOS)
        target.parent.mkdir(parents=True, exist_ok=True)
        seen.save(target, quality=80)


@pytest.fixture(scope="session")
def take_pictures():
    """Whether the pictures of the README and of the template browser are made anew: VMT_PICTURES=1."""
    return bool(os.environ.get("VMT_PICTURES"))


def _selenium():
    try:
        from selenium import webdriver
    except ImportError:
        _missing(f"The Python package selenium is not installed: {sys.executable} -m pip install selenium")
    return webdriver


def _missing(what: str):
    (pytest.fail if os.environ.get("CI") else pytest.skip)(what)
