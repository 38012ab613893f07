"""A Chromium that a test drives, by the protocol of its own developer tools, over a pipe."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..waiting import PATIENCE_S
from .test_report_page import BROWSERS, QUIET


class Tab:
    """One page. console: what went wrong on it; asked: every address that it asked for."""

    def __init__(self, send: int, receive: int) -> None:
        self._send, self._receive = send, receive
        self._buffer = b""
        self._n = 0
        self.console: list[str] = []
        self.asked: list[str] = []
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Ask for something and return the answer; what else comes meanwhile is noted."""
        self._n += 1
        message: dict[str, Any] = {"id": self._n, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._send, json.dumps(message).encode() + b"\0")
        while (answer := self._next()).get("id") != self._n:
            self._note(answer)
        assert "error" not in answer, f"{method}: {answer['error']}"
        found: dict[str, Any] = answer["result"]
        return found

    def open(self, address: str) -> None:
        self.call("Page.navigate", url=address)

    def press(self, key: str, *modifiers: str) -> None:
        """Press a key as a hand does: `Tab`, `Enter`, or a character. modifiers: `Shift`, `Control`."""
        bits = sum({"Control": 2, "Shift": 8}[one] for one in modifiers)
        text = {"Enter": "\r", "Tab": ""}.get(key, key if len(key) == 1 else "")
        codes = {"Enter": 13, "Tab": 9, "Backspace": 8}
        about = {"key": key, "windowsVirtualKeyCode": codes.get(key, 0), "modifiers": bits}
        self.call("Input.dispatchKeyEvent", type="keyDown", text=text, **about)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def run(self, script: str) -> Any:
        """Return what a line of JavaScript returns, or what it promises."""
        options = {"returnByValue": True, "userGesture": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", expression=script, **options)
        assert "exceptionDetails" not in answer, f"{script}: {answer['exceptionDetails']}"
        return answer["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """Return what a line of JavaScript returns once it is something."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if found := self.run(f"(() => {{ try {{ return {script} }} catch {{ return null }} }})()"):
                return found
            time.sleep(0.1)
        raise AssertionError(f"{script}\n{self.run('document.body.innerText')}")

    def shows(self, text: str) -> None:
        """Wait until the page shows a text."""
        self.wait_for(f"document.body.innerText.includes({json.dumps(text)})")

    def click(self, text: str) -> None:
        """Press the link or button with this text."""
        found = f"[...document.querySelectorAll('a, button')].find(one => one.innerText === {json.dumps(text)})"
        self.wait_for(found + " !== undefined")
        self.run(f"{found}.click()")

    def fill(self, name: str, value: str) -> None:
        self.wait_for(f"document.getElementsByName({json.dumps(name)}).length")
        self.run(f"document.getElementsByName({json.dumps(name)})[0].value = {json.dumps(value)}")

    def picture(self, file: Path, width: int, height: int, scheme: str = "light") -> None:
        """Write what the page looks like to a file, as a PNG."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        file.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=True)["data"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            piece = os.read(self._receive, 2**16)
            assert piece, "the browser is gone"
            self._buffer += piece
        message, _, self._buffer = self._buffer.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        return found

    def _note(self, event: dict[str, Any]) -> None:
        params = event.get("params", {})
        if event.get("method") == "Network.requestWillBeSent":
            self.asked.append(params["request"]["url"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.console.append(str(params["exceptionDetails"]))
        elif event.get("method") == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.console.append(f"{params['entry']['text']} {params['entry'].get('url')}")


@contextmanager
def chromium(directory: Path) -> Iterator[Tab]:
    """Start a browser with an empty profile in a directory; yield a tab of it."""
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    assert browser, "the page is tested in a real browser; on Debian: apt-get install chromium"
    their_in, send = os.pipe()
    receive, their_out = os.pipe()
    command = [browser, *QUIET, f"--user-data-dir={directory}", "--remote-debugging-pipe", "about:blank"]
    # It reads from file 3 and writes to file 4.
    shell = ["bash", "-c", f'exec "$@" 3<&{their_in} 4>&{their_out}', "bash", *command]
    process = subprocess.Popen(
        shell, pass_fds=(their_in, their_out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    os.close(their_in)
    os.close(their_out)
    try:
        yield Tab(send, receive)
    finally:
        process.terminate()
        process.wait()
        os.close(send)
        os.close(receive)
