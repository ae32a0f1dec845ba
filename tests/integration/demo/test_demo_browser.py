"""The page in a real browser (Debian's chromium): what a person does, on a wide and a narrow screen, light and dark."""

import shutil
import time

import pytest
from tests.conftest import ROOT

selenium = pytest.importorskip("selenium.webdriver", reason="needs selenium: pip install 'hawkeye-vtg[web-test]'")
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.web,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Debian's chromium and chromium-driver: make test-web"),
]
PICTURES = ROOT / "out" / "web"
TIME = "const v = document.querySelector('#hawk-video video'); return v ? v.currentTime : -1"


class Browser:
    """A visitor."""

    def __init__(self, url):
        options = selenium.ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--mute-audio"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        self.driver = selenium.Chrome(options=options, service=selenium.ChromeService(DRIVER))
        self.url = url
        self.size(1280)

    def size(self, width, height=900):
        values = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", values)

    def open(self, theme="light"):
        self.driver.get(f"{self.url}?__theme={theme}")
        self.one("#hawk-find")

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector):
        return self.until(lambda: (self.all(selector) or [None])[0])

    def until(self, condition, seconds=120):
        return WebDriverWait(self.driver, seconds, 0.1).until(lambda _: condition())

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def press(self, selector):
        """Click what lies under the page's fold as well."""
        self.run("arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))", self.one(selector))

    def upload(self, path):
        self.one("#hawk-video input[type=file]").send_keys(str(path))
        self.one("#hawk-video video")

    def choose(self, model, strategy):
        """Open the settings and pick; the second model of the list by keyboard, as everybody can."""
        self.run("[...document.querySelectorAll('button')].find(b => b.innerText.includes('Settings')).click()")
        self.one("#hawk-strategy input")
        self.run(f"document.querySelector('#hawk-strategy input[value={strategy}]').click()")
        if model == "slow":
            box = self.until(lambda: self.run("return document.querySelector('input[aria-label=\"Model\"]')"))
            box.send_keys(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ENTER)
            if box.get_attribute("value") != "slow":
                box.send_keys(Keys.CONTROL, "a", Keys.NULL)
                box.send_keys("slow", Keys.ENTER)
            self.until(lambda: box.get_attribute("value") == "slow")

    def find(self, *sentences):
        box = self.one("#hawk-sentences textarea")
        box.send_keys(Keys.CONTROL, "a", Keys.NULL)
        box.send_keys((Keys.SHIFT + Keys.ENTER + Keys.NULL).join(sentences), Keys.ENTER)

    def status(self):
        return self.run("return (document.querySelector('#hawk-status') || {}).innerText || ''")

    def time_reaches(self, start, end):
        self.until(lambda: start <= self.run(TIME) <= end, 30)

    def picture(self, name):
        """The whole page as an artefact for whoever wants to look."""
        PICTURES.mkdir(parents=True, exist_ok=True)
        width = self.run("return window.innerWidth")
        self.size(width, min(4000, self.run("return document.documentElement.scrollHeight")))
        time.sleep(0.4)
        self.driver.save_screenshot(str(PICTURES / f"{name}.png"))
        self.size(width)


@pytest.fixture(scope="module")
def browser(server):
    visitor = Browser(server.url)
    yield visitor
    visitor.driver.quit()


def test_upload_find_and_follow(browser, sample):
    browser.open()
    browser.upload(sample)
    browser.choose("similarity", "recursive")
    browser.find("A rocket lifts off from the launch pad.", "A cup of coffee on a wooden table.")
    browser.one("#hawk-results svg.hawk-timeline")
    assert len(browser.all(".hawk-card")) == 2
    first = browser.one("#hawk-results [data-first]")
    browser.time_reaches(float(first.get_attribute("data-start")) - 0.1, float(first.get_attribute("data-end")) + 1)
    # A turn opens its panel, with the frames that the model saw.
    panel = browser.one("#hawk-results g[data-open]").get_attribute("data-open")
    browser.press("#hawk-results g[data-open]")
    browser.until(lambda: browser.run("return document.getElementById(arguments[0]).open", panel))
    assert len(browser.all(f"#{panel} img")) == 12
    assert len(browser.all(f"#{panel} .hawk-bar")) == 4
    # An alternative, by mouse on its button and by keyboard on the timeline.
    other = browser.all(".hawk-play")[2]
    start = float(other.get_attribute("data-start"))
    browser.run("arguments[0].click()", other)
    browser.time_reaches(start, start + 4)
    bar = browser.one("#hawk-results g[aria-label^=Alternative]")
    browser.run("document.querySelector('#hawk-video video').pause()")
    browser.run("arguments[0].focus()", bar)
    bar.send_keys(Keys.ENTER)
    start = float(bar.get_attribute("data-start"))
    browser.time_reaches(start, start + 4)
    browser.until(lambda: len(browser.all("#hawk-files a")) >= 2 and "Cutting" not in browser.status())
    names = browser.run("return document.querySelector('#hawk-files').innerText")
    assert "json" in names
    assert "png" in names


def test_wide_and_narrow_light_and_dark(browser):
    """Follows on the page of the test before: pictures, and nothing sticks out sideways."""
    browser.one("#hawk-results svg.hawk-timeline")
    for theme in ("light", "dark"):
        browser.run(f"document.body.classList.toggle('dark', {str(theme == 'dark').lower()})")
        for width in (1280, 390):
            browser.size(width)
            time.sleep(0.3)
            assert browser.run("return document.documentElement.scrollWidth") <= width, (theme, width)
            browser.picture(f"find-{theme}-{width}")
    browser.size(1280)
    fetched = browser.run("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [u for u in fetched if not u.startswith((browser.url, "data:", "blob:"))] == []


def test_a_broken_file_is_one_clear_line(browser, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"this is not a video" * 100)
    browser.open()
    browser.upload(broken)
    browser.find("a cat")
    browser.until(lambda: "broken.mp4: " in browser.status())
    assert browser.all("#hawk-status [role=alert]")
    assert "/" not in browser.status().split("broken.mp4")[0]


def test_cancel_and_two_visitors(browser, server, sample):
    browser.open()
    browser.upload(sample)
    browser.choose("slow", "recursive")
    other = Browser(server.url)
    try:
        server.slow.gate.clear()
        browser.find("a dog")
        browser.until(lambda: browser.all("#hawk-status .hawk-busy"))
        browser.press("#hawk-cancel")
        browser.until(lambda: "Cancelled." in browser.status())
        server.slow.gate.set()
        other.open()
        other.upload(sample)
        other.find("An astronaut in an orange space suit smiles.")
        browser.find("a bird")
        browser.one("#hawk-results svg")
        other.one("#hawk-results svg")
        assert browser.one(".hawk-query").text == "a bird"
        assert other.one(".hawk-query").text == "An astronaut in an orange space suit smiles."
    finally:
        server.slow.gate.set()
        other.driver.quit()
