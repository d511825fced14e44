"""The sandbox's inbox in a real browser, with 100,000 messages: first paint, and the time from frame to frame.

Chromium measures by its own performance API. It needs Debian's `chromium` and `pip install playwright`. The
sandbox is a process of its own, as it is for its users.

    python benchmarks/inbox.py
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from measuring import percentile, show

from devino_async import DevinoClient, Message

MESSAGES = 100_000
PHONES = 1_000
CHROMIUM = os.environ.get("DEVINO_CHROMIUM", "/usr/bin/chromium")
# Notes how long each frame takes from now on, and the browser's own long tasks.
_WATCH = """() => {
    window.frames_ = []; window.tasks_ = []; window.watching_ = true;
    new PerformanceObserver((list) => tasks_.push(...list.getEntries().map((each) => each.duration)))
        .observe({type: "longtask"});
    let last = performance.now();
    const next = (now) => { frames_.push(now - last); last = now; if (watching_) requestAnimationFrame(next); };
    requestAnimationFrame((now) => { last = now; requestAnimationFrame(next); });
}"""
_WATCHED = "() => { watching_ = false; return {frames: frames_, tasks: tasks_}; }"
# Scrolls up and down by three quarters of a screen a frame, with a jump to another place now and then.
_SCROLL = """async (id) => {
    const list = document.getElementById(id);
    for (let step = 0; step < 240; step++) {
        await new Promise(requestAnimationFrame);
        if (step % 40 === 39) list.scrollTop = list.scrollHeight * ((step * 37) % 100) / 100;
        else list.scrollTop += (step % 80 < 40 ? -0.75 : 0.75) * list.clientHeight;
    }
}"""
_ROW_SEEN = """() => {
    const look = () => document.querySelector("#phones .phone")
        ? performance.mark("rows") : requestAnimationFrame(look);
    requestAnimationFrame(look);
}"""
_PAINT = """() => ({
    paint: performance.getEntriesByName("first-contentful-paint")[0].startTime,
    rows: performance.getEntriesByName("rows")[0].startTime,
})"""


def messages(first: int, count: int) -> list[Message]:
    """Half of the messages go to one phone."""
    return [
        Message(
            sender="MyShop",
            to="79000000001" if number % 2 else f"7900{number // 2 % PHONES:07d}",
            text=f"Order {number} has left our shop. It arrives on Tuesday between 10:00 and 14:00.",
        )
        for number in range(first, first + count)
    ]


async def send(url: str, count: int, first: int = 0) -> float:
    began = time.perf_counter()
    async with DevinoClient("any-key", base_url=url) as devino:
        for start in range(first, first + count, 2_000):
            report = await devino.send_all(messages(start, min(2_000, first + count - start)))
            assert len(report.accepted) == report.total
    return time.perf_counter() - began


def row(name: str, watched: dict[str, Any]) -> list[str]:
    frames = watched["frames"]
    over = sum(frame > 100 for frame in frames)
    figures = (percentile(frames, 0.5), percentile(frames, 0.99), max(frames), max(watched["tasks"], default=0.0))
    return [name, str(len(frames)), *(f"{each:.0f}" for each in figures), str(over)]


async def measure(url: str) -> list[list[str]]:
    from playwright.async_api import async_playwright

    rows = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page(viewport={"width": 1280, "height": 800})
        await page.goto(f"{url}/#79000000001")
        await page.evaluate(_WATCH)
        took = await send(url, MESSAGES)
        await page.wait_for_function(f"document.getElementById('accepted').textContent === '{MESSAGES:,}'")
        rows.append(row(f"{MESSAGES:,} arrive in {took:.0f} s", await page.evaluate(_WATCHED)))
        for name, list_id in (("scrolling the phones", "phones"), ("scrolling a conversation", "lines")):
            await page.evaluate(_WATCH)
            await page.evaluate(_SCROLL, list_id)
            rows.append(row(name, await page.evaluate(_WATCHED)))
        fresh = await browser.new_page(viewport={"width": 1280, "height": 800})
        await fresh.add_init_script(f"({_ROW_SEEN})(); ({_WATCH})()")
        await fresh.goto(url)
        await fresh.wait_for_selector("#phones .phone")
        paint = await fresh.evaluate(_PAINT)
        rows.append(row("opening the inbox", await fresh.evaluate(_WATCHED)))
        print(f"\n{MESSAGES:,} stored: first paint {paint['paint']:.0f} ms, phones {paint['rows']:.0f} ms")
        await browser.close()
    return rows


def table() -> None:
    command = [sys.executable, "-m", "devino_async", "sandbox", "--port", "0", "--json"]
    root = str(Path(__file__).parents[1])
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=root) as sandbox:
        try:
            assert sandbox.stdout is not None
            rows = asyncio.run(measure(json.loads(sandbox.stdout.readline())["url"]))
        finally:
            sandbox.terminate()
    heads = ("", "frames", "median ms", "p99 ms", "longest ms", "longest task ms", "over 100 ms")
    show("The sandbox's inbox in Chromium: time from frame to frame", heads, rows)


if __name__ == "__main__":
    table()
