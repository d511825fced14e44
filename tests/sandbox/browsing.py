"""Shared by the tests of the inbox in a real browser: a browser, and a sandbox with a page open on it."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from devino_async.sandbox import ManualClock, Sandbox

CHROMIUM = os.environ.get("DEVINO_CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")


class Browsing:
    """A sandbox, its clock, and a page that shows its inbox. `requests` are the addresses that the page asked for."""

    def __init__(self, sandbox: Sandbox, clock: ManualClock, page: Any) -> None:
        self.sandbox = sandbox
        self.clock = clock
        self.page = page
        self.requests: list[str] = []
        self.complaints: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)

    async def open(self, place: str = "/") -> None:
        await self.page.goto(self.sandbox.url + place)

    def row(self, text: str) -> Any:
        """The row of a phone that holds a text."""
        return self.page.locator("#phones .phone", has_text=text)

    def line(self, text: str) -> Any:
        """The line of the conversation that holds a text."""
        return self.page.locator("#lines .line", has_text=text)


@asynccontextmanager
async def browsing(browser: Any, **options: Any) -> AsyncIterator[Browsing]:
    """A sandbox whose clock stands still, and a new page. At the end the page must have made no error."""
    clock = ManualClock()
    context = await browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 800})
    try:
        async with Sandbox(**{"clock": clock, "stage": 10.0, **options}) as sandbox:
            made = Browsing(sandbox, clock, await context.new_page())
            yield made
            assert made.complaints == []
            await context.close()
    finally:
        await context.close()
