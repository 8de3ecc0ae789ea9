"""A headless Chromium for tests, driven over a pipe by the DevTools protocol: no driver program, no further package.

https://chromedevtools.github.io/devtools-protocol/ describes the methods and events.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import select
import shutil
import subprocess
import time
from collections import deque
from pathlib import Path
from typing import Any

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--hide-scrollbars", "--remote-debugging-pipe", "--window-size=1280,860",
)
PATIENCE = 60.0  # seconds that anything may take
KEYS = {"Enter": 13, "Escape": 27, " ": 32, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39,
        "ArrowDown": 40, "Backspace": 8, "Tab": 9}


def program() -> str | None:
    """Return the path of a Chromium, if there is one."""
    return next(filter(None, map(shutil.which, PROGRAMS)), None)


class Browser:
    """A Chromium with one page.

    Args:
        folder: an empty one, for the browser's files.
    """

    def __init__(self, folder: Path) -> None:
        found = program()
        assert found is not None
        from_here, self.write_end = os.pipe()
        self.read_end, from_browser = os.pipe()
        # The browser reads commands at descriptor 3 and writes answers at 4.
        shell = f'exec "$@" 3<&{from_here} 4>&{from_browser}'
        self.process = subprocess.Popen(
            ["bash", "-c", shell, "browser", found, *FLAGS, f"--user-data-dir={folder}", "about:blank"],
            pass_fds=(from_here, from_browser), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        os.close(from_here)
        os.close(from_browser)
        self.number = 0
        self.rest = b""
        self.events: deque[dict[str, Any]] = deque()
        self.session: str | None = None
        targets = self.call("Target.getTargets")["targetInfos"]
        target = next(target["targetId"] for target in targets if target["type"] == "page")
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def close(self) -> None:
        """End the browser."""
        with contextlib.suppress(OSError, AssertionError):
            self.session = None
            self.call("Browser.close")
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        os.close(self.read_end)
        os.close(self.write_end)

    # ---- The protocol ------------------------------------------------------------------------------------------------

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method and return its result; events that arrive meanwhile are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.write_end, data):]
        end = time.monotonic() + PATIENCE
        while True:
            answer = self._receive(end)
            assert answer is not None, f"the browser does not answer {method}"
            if answer.get("id") == self.number:
                assert "error" not in answer, f"{method}: {answer['error']}"
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _receive(self, end: float) -> dict[str, Any] | None:
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.read_end], [], [], max(0.0, end - time.monotonic()))
            if not ready:
                return None
            more = os.read(self.read_end, 1 << 20)
            assert more, "the browser has ended"
            self.rest += more
        message, _, self.rest = self.rest.partition(b"\0")
        received: dict[str, Any] = json.loads(message)
        return received

    # ---- The page ----------------------------------------------------------------------------------------------------

    def open(self, file: Path) -> None:
        """Open a file from disk and wait until it has loaded."""
        self.events.clear()
        self.call("Page.navigate", url=file.as_uri())
        end = time.monotonic() + PATIENCE
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            event = self._receive(end)
            assert event is not None, "the page does not load"
            self.events.append(event)

    def run(self, expression: str) -> Any:
        """Return the value of a JavaScript expression, of a promise what it becomes."""
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = PATIENCE) -> Any:
        """Wait until an expression is true, and return its value."""
        end = time.monotonic() + seconds
        while not (value := self.run(expression)):
            assert time.monotonic() < end, f"still not true: {expression}"
            time.sleep(0.05)
        return value

    def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        for key in keys:
            event: dict[str, Any] = {"key": key, "windowsVirtualKeyCode": KEYS.get(key, ord(key.upper()[0]))}
            text = {"Enter": "\r"}.get(key, key if len(key) == 1 else None)
            self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown",
                      **event | ({"text": text} if text else {}))
            self.call("Input.dispatchKeyEvent", type="keyUp", **event)

    def click(self, selector: str, clicks: int = 1) -> None:
        """Click the middle of the first element that a selector finds."""
        place = self.run(f"(() => {{ const r = document.querySelector({json.dumps(selector)}).getBoundingClientRect();"
                         " return [r.x + r.width / 2, r.y + r.height / 2]; })()")
        for count in range(1, clicks + 1):
            for kind in ("mousePressed", "mouseReleased"):
                self.mouse(kind, *place, clickCount=count)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Send one event of the mouse."""
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **{"button": "left"} | more)

    def screenshot(self, file: Path) -> None:
        """Write what the page looks like as PNG."""
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot")["data"]))

    def printed(self) -> bytes:
        """Return what the page looks like on paper, as PDF."""
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

    def complaints(self) -> list[str]:
        """Return the errors and warnings since the page was opened: exceptions, the console, what was forbidden."""
        self.call("Runtime.evaluate", expression="0")
        found = []
        for event in self.events:
            parameters = event.get("params", {})
            match event.get("method"):
                case "Runtime.exceptionThrown":
                    found.append(json.dumps(parameters["exceptionDetails"]))
                case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "warning"):
                    found.append(json.dumps(parameters["args"]))
                case "Log.entryAdded" if parameters["entry"]["level"] in ("error", "warning"):
                    found.append(parameters["entry"]["text"])
        return found

    def addresses(self) -> list[str]:
        """Return what the page asked for since it was opened."""
        return [event["params"]["request"]["url"] for event in self.events
                if event.get("method") == "Network.requestWillBeSent"]
