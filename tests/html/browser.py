# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, told what to do over a pipe in the DevTools protocol. Needs nothing but Python."""

import base64
import json
import os
import shutil
import struct
import subprocess
import tempfile
import zlib


def find_chromium():
    """None where there is none."""
    for name in (os.environ.get("CHROMIUM"), "chromium", "chromium-browser", "google-chrome", "google-chrome-stable"):
        if name and shutil.which(name):
            return shutil.which(name)
    return None


class Browser:
    """One tab. `requests` are the addresses that the page asked for, `errors` what went wrong in it."""

    def __init__(self, program, width=1200, height=900):
        self.profile = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        to_browser, self.output = os.pipe()
        self.input, from_browser = os.pipe()
        # It reads commands from descriptor 3 and writes to 4.
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", f'exec "$0" "$@" 3<&{to_browser} 4>&{from_browser} 2> /dev/null', program, "--headless",
             "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
             "--disable-background-networking", "--remote-debugging-pipe", f"--user-data-dir={self.profile.name}",
             "about:blank"],
            pass_fds=(to_browser, from_browser), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        os.close(to_browser)
        os.close(from_browser)
        self.buffer, self.number, self.session = b"", 0, None
        self.requests, self.errors, self.is_loaded = [], [], False
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(domain + ".enable")
        self.width, self.height = width, height
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.output)
        os.close(self.input)
        self.profile.cleanup()

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.output, json.dumps(message).encode() + b"\0")
        while True:
            answer = self.next_message()
            if answer.get("id") == self.number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def next_message(self):
        while b"\0" not in self.buffer:
            piece = os.read(self.input, 1 << 20)
            if not piece:
                raise RuntimeError("the browser ended")
            self.buffer += piece
        text, self.buffer = self.buffer.split(b"\0", 1)
        message = json.loads(text)
        event, told = message.get("method"), message.get("params", {})
        if event == "Network.requestWillBeSent":
            self.requests.append(told["request"]["url"])
        elif event == "Runtime.exceptionThrown":
            self.errors.append(told["exceptionDetails"])
        elif event == "Log.entryAdded":
            self.errors.append(told["entry"]["text"])
        elif event == "Page.loadEventFired":
            self.is_loaded = True
        return message

    def open(self, path, fragment=""):
        self.load("about:blank")  # what differs in the fragment alone would be no other page
        self.load(f"file://{path}{'#' if fragment else ''}{fragment}")

    def load(self, address):
        self.requests, self.errors, self.is_loaded = [], [], False
        self.call("Page.navigate", url=address)
        while not self.is_loaded:
            self.next_message()

    def run(self, script):
        """The value of an expression in the page."""
        result = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"])
        return result["result"].get("value")

    def type(self, selector, text):
        """Types into what takes text, in place of what it holds."""
        self.run(f"document.querySelector({json.dumps(selector)}).select(), "
                 f"document.querySelector({json.dumps(selector)}).focus()")
        self.call("Input.insertText", text=text)

    def prefer(self, scheme, media=""):
        """"light" or "dark"; media "print" is paper."""
        self.call("Emulation.setEmulatedMedia", media=media,
                  features=[{"name": "prefers-color-scheme", "value": scheme}])

    def picture(self, scale=1, whole=False):
        """A screenshot as PNG: of what is seen first, or of the whole page."""
        height = self.run("document.documentElement.scrollHeight") if whole else self.height
        clip = {"x": 0, "y": 0, "width": self.width, "height": height, "scale": scale}
        return base64.b64decode(self.call("Page.captureScreenshot", captureBeyondViewport=whole, clip=clip)["data"])


def pixels(png):
    """Width, height, and the lines of a PNG of 8-bit RGB or RGBA: bytes objects, three or four bytes a pixel."""
    if png[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("no PNG")
    at, data = 8, b""
    while at < len(png):
        (length,), kind = struct.unpack(">I", png[at:at + 4]), png[at + 4:at + 8]
        content = png[at + 8:at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", content[:10])
        elif kind == b"IDAT":
            data += content
        at += length + 12
    if depth != 8 or colour not in (2, 6):
        raise ValueError("another kind of PNG than browsers make")
    size = 3 if colour == 2 else 4
    raw, stride = zlib.decompress(data), width * size
    lines, above = [], bytes(stride)
    for row in range(height):
        kind, line = raw[row * (stride + 1)], bytearray(raw[row * (stride + 1) + 1:(row + 1) * (stride + 1)])
        for i in range(stride) if kind else ():
            left, corner = (line[i - size], above[i - size]) if i >= size else (0, 0)
            if kind == 1:
                guess = left
            elif kind == 2:
                guess = above[i]
            elif kind == 3:
                guess = (left + above[i]) // 2
            else:
                base = left + above[i] - corner
                guess = min((abs(base - left), 0, left), (abs(base - above[i]), 1, above[i]),
                            (abs(base - corner), 2, corner))[2]
            line[i] = (line[i] + guess) & 255
        lines.append((bytes(line), size))
        above = line
    return width, height, lines


def look(png):
    """What a picture looks like: width, height, its colours with their share of the pixels, the mean brightness."""
    width, height, lines = pixels(png)
    counts, light = {}, 0
    for line, size in lines:
        for at in range(0, len(line), size):
            colour = line[at:at + 3]
            counts[colour] = counts.get(colour, 0) + 1
    for colour, count in counts.items():
        light += sum(colour) / 3 * count
    return width, height, {colour: count / (width * height) for colour, count in counts.items()}, light / (width * height)
