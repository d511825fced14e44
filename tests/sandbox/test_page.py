"""The inbox in a real browser, Chromium. Playwright waits for what it expects, so no test here sleeps."""

import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
import pytest_asyncio
from asking import Receiver, message
from browsing import CHROMIUM, Browsing, browsing

from devino_async import Accepted, CallbackReceiver, DevinoClient, Message, Priority, Unconfirmed, new_token
from devino_async.contrib.aiohttp_web import serving
from devino_async.sandbox import SystemClock

playwright = pytest.importorskip("playwright.async_api", reason="playwright is not installed")
if CHROMIUM is None:
    pytest.skip("Chromium is not installed", allow_module_level=True)
expect = playwright.expect
pytestmark = pytest.mark.asyncio(loop_scope="module")
EVIL = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>'


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def browser() -> AsyncIterator[Any]:
    async with playwright.async_playwright() as started:
        # A machine that is busy is no fault of the inbox.
        expect.set_options(timeout=20_000)
        launched = await started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="module")
async def inbox(browser: Any) -> AsyncIterator[Browsing]:
    async with browsing(browser) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def hook() -> AsyncIterator[tuple[Receiver, str]]:
    """A receiver of callbacks whose answers a test chooses."""
    made, app = Receiver(), aiohttp.web.Application()
    app.router.add_post("/{anything:.*}", made.post)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    await aiohttp.web.TCPSite(runner, "127.0.0.1", 0).start()
    yield made, f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    await runner.cleanup()


async def post(inbox: Browsing, *messages: dict[str, Any]) -> None:
    """Send without the SDK, which would refuse some of these messages."""
    async with aiohttp.ClientSession(headers={"Authorization": "Key any"}) as session:
        async with session.post(f"{inbox.sandbox.url}/sms/messages", json={"messages": list(messages)}) as response:
            assert response.status == 200


def sms(text: str = "Hello", to: str = "79000000001", **fields: Any) -> Message:
    return Message(sender="MyShop", to=to, text=text, **fields)


async def test_a_message_appears_and_its_status_moves(inbox: Browsing, hook: tuple[Receiver, str]) -> None:
    """What the SDK sends appears at once with all that is known, and its status and callbacks move with the time."""
    receiver, url = hook
    await inbox.open()
    await expect(inbox.page.get_by_role("heading", name="No messages yet")).to_be_visible()
    async with DevinoClient("any", base_url=inbox.sandbox.url) as devino:
        await devino.send(sms("Заказ в пути", priority=Priority.HIGH, callback_url=url))
    row = inbox.row("79000000001")
    await expect(row).to_contain_text("Заказ в пути")
    await expect(row.locator(".badge")).to_have_text("1")
    await row.click()
    line = inbox.line("Заказ в пути")
    for wanted in ("MyShop", "1 segment", "UCS-2", "high", "ACCEPTED"):
        await expect(line).to_contain_text(wanted)
    await expect(row.locator(".badge")).to_have_count(0)
    receiver.status = 500
    inbox.clock.advance(5)
    await expect(line.locator(".callback")).to_have_text("ACCEPTED 500")
    await inbox.sandbox.report()
    await expect(line.locator(".callback")).to_have_text("ACCEPTED 500 ×2")
    receiver.status = 200
    inbox.clock.advance(5)
    await expect(line.locator(".callback").first).to_have_text("ACCEPTED 500 ×2, 200")
    await expect(line.locator(".status")).to_have_text("ENROUTE")
    inbox.clock.advance(20)
    await expect(line.locator(".status")).to_have_text("DELIVERED")
    await expect(line.locator(".callback")).to_have_text(
        ["ACCEPTED 500 ×2, 200", "ENROUTE 200", "SENT 200", "DELIVERED 200"]
    )
    await line.click()
    await expect(inbox.page.locator("#side .attempts tbody tr")).to_have_count(6)
    await expect(inbox.page.locator("#side .steps li")).to_have_count(4)


async def test_a_status_without_callbacks_moves(browser: Any) -> None:
    """A message without a callback URL is shown as DELIVERED once it is, though no event says so."""
    async with browsing(browser, clock=SystemClock(), stage=0.5) as made:
        await post(made, message())
        await made.open("/#79000000001")
        await made.line("Hello").click()
        await expect(made.line("Hello").locator(".status")).to_have_text("DELIVERED")
        await expect(made.page.locator("#side .facts .status")).to_have_text("DELIVERED")


async def test_a_reply_reaches_a_real_receiver(inbox: Browsing) -> None:
    """The reply box sends an incoming message to the app's own receiver, and says what it answered."""
    token, got = new_token(), []

    async def on_incoming(messages: Any) -> None:
        got.extend((each.sender, each.to, each.text) for each in messages)

    receiver = CallbackReceiver(token=token, on_incoming=on_incoming)
    async with serving(receiver) as address, DevinoClient("any", base_url=inbox.sandbox.url) as devino:
        await devino.send(sms())
        await inbox.open("/#79000000001")
        await inbox.page.fill("#reply-url", f"{address}/{token}")
        await inbox.page.fill("#reply-text", "STOP")
        await inbox.page.click("#reply button[type=submit]")
        await expect(inbox.page.locator("#reply-said")).to_contain_text("200")
        assert got == [("79000000001", "MyShop", "STOP")]
        await expect(inbox.line("STOP").locator(".status")).to_have_text("answered 200")
    await receiver.aclose()


async def test_a_reply_that_fails_says_so(inbox: Browsing, hook: tuple[Receiver, str]) -> None:
    """A receiver that answers 500, and none at all, are told apart, and the text stays in the box."""
    receiver, url = hook
    receiver.status = 500
    await post(inbox, message())
    await inbox.open("/#79000000001")
    said = inbox.page.locator("#reply-said")
    for address, wanted in (("", "Say where to"), (url, "answered 500"), ("http://127.0.0.1:9/", "no answer")):
        await inbox.page.fill("#reply-url", address)
        await inbox.page.fill("#reply-text", "STOP")
        await inbox.page.press("#reply-text", "Enter")
        await expect(said).to_contain_text(wanted)
        await expect(inbox.page.locator("#reply-text")).to_have_value("STOP")
    inbox.complaints = [each for each in inbox.complaints if "400" not in each]


async def test_a_fault_takes_effect_at_once(inbox: Browsing) -> None:
    """A lost answer that is switched on in the inbox makes the next send Unconfirmed, and the message is there."""
    await inbox.open()
    await inbox.page.click("#open-faults")
    await inbox.page.check("input[name=lostAnswer][value=once]")
    await expect(inbox.page.locator("#faults-on")).to_have_text("1")
    async with DevinoClient("any", base_url=inbox.sandbox.url) as devino:
        assert isinstance(await devino.send(sms("Was it sent?")), Unconfirmed)
        await expect(inbox.row("Was it sent?")).to_be_visible()
        await expect(inbox.page.locator("input[name=lostAnswer][value=off]")).to_be_checked()
        assert isinstance(await devino.send(sms("This one was")), Accepted)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("tooManyRequests", "always", ("too_many_requests", True)),
        ("unavailable", "once", ("unavailable", 1)),
        ("cutAnswer", "always", ("cut_answer", True)),
        ("malformedRows", "always", ("malformed_rows", True)),
        ("latency", "1.5", ("latency", 1.5)),
        ("duplicate", "", ("callbacks.duplicate", 1.0)),
        ("drop", "", ("callbacks.drop", 1.0)),
        ("disorder", "", ("callbacks.disorder", True)),
        ("delay", "20", ("callbacks.delay", 20.0)),
    ],
)
async def test_each_fault_has_a_switch(inbox: Browsing, name: str, value: str, wanted: tuple[str, object]) -> None:
    """Each fault of the panel sets the fault of that name, and *Switch all off* ends it."""
    await inbox.open()
    await inbox.page.click("#open-faults")
    field = inbox.page.locator(f"[name={name}]")
    if await field.count() > 1:
        await inbox.page.check(f"input[name={name}][value={value}]")
    elif value:
        await field.fill(value)
        await field.press("Tab")
    else:
        await field.check()
    await expect(inbox.page.locator("#faults-on")).to_have_text("1")
    path, expected = wanted
    place: Any = inbox.sandbox.faults
    for part in path.split("."):
        place = getattr(place, part)
    assert place == expected
    await inbox.page.get_by_role("button", name="Switch all off").click()
    await expect(inbox.page.locator("#faults-on")).to_be_hidden()


async def test_texts_stay_texts(inbox: Browsing, hook: tuple[Receiver, str]) -> None:
    """HTML in any field of a message, of a rejected message or of a reply is shown as it is, and never becomes HTML."""
    url = hook[1]
    await post(
        inbox,
        message(
            **{"from": EVIL, "text": EVIL, "callbackUrl": f"{url}?{EVIL.replace(' ', '+')}", "options": {EVIL: EVIL}}
        ),
    )
    await post(inbox, {"from": EVIL, "to": EVIL, "text": EVIL, "priority": EVIL})
    await inbox.sandbox.reply("79000000001", EVIL, to=EVIL, url=url)
    await inbox.open()
    for phone in ("79000000001", EVIL[:64]):
        await inbox.row(phone).first.click()
        lines = inbox.page.locator("#lines .line")
        await expect(lines.first).to_contain_text(EVIL)
        for index in range(await lines.count()):
            await lines.nth(index).click()
            await expect(inbox.page.locator("#side")).to_contain_text("onerror")
    await inbox.page.fill("#search", "<img src=x")
    await expect(inbox.page.locator("#lines mark").first).to_have_text("<img src=x")
    assert await inbox.page.locator("main img, main script").count() == 0
    assert await inbox.page.evaluate("window.hit") is None


async def test_what_is_stored_is_shown_without_an_event(inbox: Browsing) -> None:
    """Messages from before are shown even if no event ever comes."""
    await post(inbox, message(text="From before"))
    await inbox.page.route("**/_sandbox/events", lambda route: route.abort())
    await inbox.open("/#79000000001")
    await expect(inbox.line("From before")).to_be_visible()
    await expect(inbox.page.locator("#accepted")).to_have_text("1")
    await expect(inbox.page.locator("#link")).to_have_text("Not connected")
    inbox.complaints.clear()


async def test_no_request_goes_elsewhere(inbox: Browsing) -> None:
    """The inbox asks nothing of any other origin."""
    await post(inbox, message(text="See https://example.com/a.png"))
    await inbox.open()
    await inbox.row("79000000001").click()
    await inbox.line("See").click()
    for button in ("#open-faults", "#open-help"):
        await inbox.page.click(button)
    await inbox.page.fill("#search", "example")
    await expect(inbox.page.locator("#found")).to_have_text("1 phone found")
    own = urlsplit(inbox.sandbox.url).netloc
    assert {urlsplit(url).netloc for url in inbox.requests} == {own}
    assert len(inbox.requests) > 10


async def test_by_keyboard_alone(inbox: Browsing, hook: tuple[Receiver, str]) -> None:
    """Searching, opening, reading, replying and switching a fault need no mouse."""
    page, (receiver, url) = inbox.page, hook
    await post(inbox, message(text="One", callbackUrl=url), message("79000000002", text="Two", callbackUrl=url))
    await inbox.open()
    await expect(inbox.row("One")).to_be_visible()
    keys = page.keyboard
    await keys.press("/")
    await keys.type("two")
    await expect(page.locator("#found")).to_have_text("1 phone found")
    await keys.press("ArrowDown")
    await keys.press("ArrowDown")
    await keys.press("Enter")
    await expect(inbox.line("Two")).to_be_visible()
    await keys.press("ArrowUp")
    await keys.press("Enter")
    await expect(page.locator("#side-title")).to_have_text("Message")
    await keys.press("Escape")
    await expect(page.locator("#side")).to_be_hidden()
    await keys.press("r")
    await keys.type("Thank you")
    await keys.press("Enter")
    await expect(page.locator("#reply-said")).to_contain_text("200")
    assert receiver.bodies[-1]["text"] == "Thank you"
    await keys.press("Escape")
    await keys.press("f")
    await expect(page.locator("#side-title")).to_have_text("Faults")
    for key in ("Tab", "Tab", "ArrowRight"):
        await keys.press(key)
    await expect(page.locator("#faults-on")).to_have_text("1")
    assert inbox.sandbox.faults.too_many_requests == 1
    await keys.press("Escape")
    await keys.press("?")
    await expect(page.locator("#side")).to_contain_text("991")


async def test_sent_twice_is_red(inbox: Browsing) -> None:
    """The count of what was sent twice turns red when it is not 0, and both messages say so."""
    await inbox.open()
    await expect(inbox.page.locator("#twice.alarm")).to_have_count(0)
    await post(inbox, message(), message())
    await expect(inbox.page.locator("#twice.alarm #repeated")).to_have_text("1")
    await inbox.row("79000000001").click()
    await expect(inbox.page.locator("#lines .chip.twice")).to_have_text(["sent twice", "sent twice"])


async def test_clear_and_keep(inbox: Browsing) -> None:
    """*Keep the newest* deletes the oldest at once, and *Clear* everything, after a question."""
    page = inbox.page
    await post(inbox, *[message(f"7900000000{index}") for index in range(5)])
    await inbox.open()
    await expect(page.locator("#phones .phone")).to_have_count(5)
    await page.fill("#keep", "2")
    await page.press("#keep", "Enter")
    await expect(page.locator("#phones .phone")).to_have_count(2)
    await post(inbox, message("79000000009"))
    await expect(inbox.row("79000000009")).to_be_visible()
    await expect(page.locator("#phones .phone")).to_have_count(2)
    await page.click("#clear")
    await page.get_by_role("button", name="Keep", exact=True).click()
    await expect(page.locator("#phones .phone")).to_have_count(2)
    await page.click("#clear")
    await page.get_by_role("button", name="Delete everything").click()
    await expect(page.get_by_role("heading", name="No messages yet")).to_be_visible()
    await expect(page.locator("#accepted")).to_have_text("0")
    assert await inbox.sandbox.count() == 0


async def test_a_thousand_phones_and_a_long_conversation(inbox: Browsing) -> None:
    """Only the rows in sight are in the document, and every row can be reached."""
    page = inbox.page
    await post(inbox, *[message(f"7900{index:07d}", text=f"text {index}") for index in range(1_000)])
    await post(inbox, *[message("79000000007", text=f"line {index}") for index in range(3_000)])
    await inbox.open()
    await inbox.row("79000000007").click()
    await expect(inbox.line("line 2999")).to_be_in_viewport()
    await page.focus("#phones")
    await page.keyboard.press("End")
    await expect(inbox.row("79000000000")).to_be_in_viewport()
    await page.focus("#lines")
    await page.keyboard.press("Home")
    await expect(page.locator("#lines .line", has_text="text 7")).to_be_in_viewport()
    for rows in ("#phones .row", "#lines .row"):
        assert await page.locator(rows).count() < 60


async def test_rows_above_the_newest(inbox: Browsing) -> None:
    """A conversation opens at its end, and every line above is there once it comes into sight, without an event."""
    await inbox.page.route("**/_sandbox/events", lambda route: route.abort())
    await post(inbox, *[message(text=f"line {index} of it") for index in range(75)])
    inbox.clock.advance(100)
    await inbox.open("/#79000000001")
    await expect(inbox.line("line 74 of it")).to_be_in_viewport()
    await inbox.page.focus("#lines")
    for index in range(73, -1, -1):
        await inbox.page.keyboard.press("ArrowUp")
        if index % 12 == 0:
            await expect(inbox.line(f"line {index} of it")).to_be_in_viewport()
    inbox.complaints.clear()


async def test_the_longest_text(inbox: Browsing) -> None:
    """A text of 34,170 characters is shortened in the conversation, and whole in the details."""
    text = "a" * 34_169 + "z"
    await post(inbox, message(text=text))
    await inbox.open("/#79000000001")
    line = inbox.page.locator("#lines .line")
    await expect(line).to_contain_text("34,170 characters")
    assert len(await line.locator(".text").inner_text()) < 2_000
    await line.click()
    await expect(inbox.page.locator("#side .whole")).to_have_text(text)


async def test_at_a_phones_width(browser: Any) -> None:
    """At the width of a phone there is one pane at a time, and a way back."""
    async with browsing(browser) as made:
        await made.page.set_viewport_size({"width": 375, "height": 700})
        await post(made, message())
        await made.open()
        await made.row("79000000001").click()
        await expect(made.line("Hello")).to_be_in_viewport()
        await expect(made.page.locator("#left")).to_be_hidden()
        assert await made.page.evaluate("document.documentElement.scrollWidth") == 375
        await made.page.click("#back")
        await expect(made.row("79000000001")).to_be_in_viewport()
        await expect(made.page.locator("#middle")).to_be_hidden()


async def test_screenshots(inbox: Browsing, hook: tuple[Receiver, str], tmp_path: Path) -> None:
    """The faces of the inbox can be looked at. DEVINO_SCREENSHOTS names a folder that keeps them."""
    folder, page, url = Path(os.environ.get("DEVINO_SCREENSHOTS", tmp_path)), inbox.page, hook[1]
    await inbox.open()
    await expect(page.locator("#magic-empty tr").first).to_be_visible()
    await page.screenshot(path=folder / "empty.png")
    await post(inbox, *[message(f"7900{index:07d}", text=f"Your code is {4821 + index}.") for index in range(40)])
    texts = ("Order 1047 has left our shop.", "Заказ 1047 передан курьеру. Он позвонит за час.", "Long. " * 400)
    await post(inbox, *[message(text=text, callbackUrl=url) for text in texts], message(**{"from": "Unknown"}))
    await inbox.sandbox.reply("79000000001", "Thank you!")
    inbox.clock.advance(15)
    await inbox.row("Thank you!").click()
    await expect(inbox.page.locator("#lines .callback").first).to_be_visible()
    await page.screenshot(path=folder / "busy.png")
    await page.click("#open-faults")
    await page.check("input[name=lostAnswer][value=always]")
    await expect(page.locator("#faults-on")).to_be_visible()
    await page.screenshot(path=folder / "faults.png")
    await page.emulate_media(color_scheme="dark")
    await page.screenshot(path=folder / "dark.png")
    await page.click("#close-side")
    await page.set_viewport_size({"width": 390, "height": 780})
    await page.screenshot(path=folder / "phone.png")
    made = {each.name: each.read_bytes()[:8] for each in folder.glob("*.png")}
    assert set(made) >= {"empty.png", "busy.png", "faults.png", "dark.png", "phone.png"}
    assert set(made.values()) == {b"\x89PNG\r\n\x1a\n"}
