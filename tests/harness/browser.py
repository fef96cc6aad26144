"""A headless Chromium, driven by chromedriver: https://www.w3.org/TR/webdriver2/"""

import base64
import json
import re
import shutil
import subprocess
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness.waiting import wait_for

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # key of an element: defined in the standard
OPTIONS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900")


@dataclass(frozen=True, kw_only=True)
class Browser:
    """A session with a profile of its own: no cookie of another session."""

    session: str

    @classmethod
    @contextmanager
    def open(cls, *options: str) -> Generator["Browser"]:
        driver = shutil.which("chromedriver")
        assert driver, "not on PATH: chromedriver (Debian: chromium-driver); see CONTRIBUTING.md"
        with subprocess.Popen([driver, "--port=0"], stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout
                started = (
                    re.search(r"successfully on port (\d+)", line) for line in process.stdout
                )
                (port,) = next(match for match in started if match).groups()
                url = f"http://127.0.0.1:{port}/session"
                chrome = {"args": [*OPTIONS, *options]}
                wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": chrome}}}
                session = f"{url}/{_request('POST', url, wanted)['sessionId']}"
                try:
                    yield cls(session=session)
                finally:
                    _request("DELETE", session)
            finally:
                process.terminate()

    def go(self, url: str) -> None:
        _request("POST", f"{self.session}/url", {"url": url})

    @property
    def url(self) -> str:
        return _request("GET", f"{self.session}/url")

    @property
    def text(self) -> str:
        """What a person reads on the page."""
        return self.run("return document.body ? document.body.innerText : ''")

    def run(self, script: str) -> Any:
        """The value that JavaScript in the page returns."""
        return _request("POST", f"{self.session}/execute/sync", {"script": script, "args": []})

    def get(self, path: str) -> int:
        """The status of a request with the cookies of the page."""
        return self.run(f"return fetch({json.dumps(path)}).then(answer => answer.status)")

    def fill(self, css: str, text: str) -> None:
        _request("POST", f"{self._find(css)}/value", {"text": text})

    def click(self, css: str) -> None:
        _request("POST", f"{self._find(css)}/click", {})

    def set_cookie(self, name: str, value: str) -> None:
        cookie = {"name": name, "value": value, "path": "/"}
        _request("POST", f"{self.session}/cookie", {"cookie": cookie})

    def wait_for_text(self, text: str, seconds: float = 120) -> str:
        """The text of the page, once it contains `text`."""
        try:
            return wait_for(f"the text {text!r}", lambda: text in self.text and self.text, seconds)
        except TimeoutError as error:
            error.add_note(f"{self.url}\n{self.text}")
            raise

    def screenshot(self, file: Path) -> None:
        file.write_bytes(base64.b64decode(_request("GET", f"{self.session}/screenshot")))

    def _find(self, css: str) -> str:
        query = {"using": "css selector", "value": css}

        def found() -> Any:
            return _request("POST", f"{self.session}/elements", query)

        element = wait_for(f"the element {css}", found, 120)[0][ELEMENT]
        return f"{self.session}/element/{element}"


def _request(method: str, url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]
    except urllib.error.HTTPError as error:
        error.add_note(json.load(error)["value"]["message"])
        raise
