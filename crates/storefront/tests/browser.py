"""What .ci/front does in the browser: browser.py ADDRESS CHROMIUM [FOLDER FOR PICTURES]

Everything is done by keys. Every key that looks for something has an end, and what it finds must be seen to have the focus."""

import json
import pathlib
import sys
import time

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect, sync_playwright

# How much may move while a page loads, as a share of it (the measure of Web Vitals, which calls 0.1 good).
JUMP = 0.02
ADDRESS = {"name": "Ada Lovelace", "line1": "1 Mill Lane", "postal_code": "89073", "city": "Ulm"}

WATCH = """
window.jumped = 0;
new PerformanceObserver((list) => {
  for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.jumped += entry.value;
}).observe({ type: "layout-shift", buffered: true });
"""

RINGED = """() => {
  const element = document.activeElement;
  const styles = [element, element.closest("label")].filter(Boolean).map((one) => getComputedStyle(one));
  return styles.some((style) => style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2);
}"""


class Visit:
    """One visitor with a keyboard, and all that the browser complains of meanwhile."""

    def __init__(self, browser, name, pictures, **settings):
        self.context = browser.new_context(reduced_motion="reduce", locale="en-GB", **settings)
        self.context.set_default_timeout(20_000)
        self.page = self.context.new_page()
        self.page.add_init_script(WATCH)
        self.name, self.pictures, self.complaints, self.refused = name, pictures, [], []
        self.page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        self.page.on("console", self.hear)

    def hear(self, message):
        # The browser logs every answer from 400 on. Those that belong to the play are named in it; and an account that has no open
        # cart is told so by a 404.
        url = message.location.get("url", "")
        asked = url.endswith("/v1/cart") or any(part in url for part in self.refused)
        if message.type == "error" and not (asked and "Failed to load resource" in message.text):
            self.complaints.append(f"console: {message.text} ({message.location})")

    def key(self, *keys):
        for key in keys:
            self.page.keyboard.press(key)

    def to(self, what, key="Tab"):
        """Presses `key` until `what` has the focus."""
        for _ in range(200):
            if self.page.evaluate("(what) => document.activeElement?.matches(what) ?? false", what):
                assert self.page.evaluate(RINGED), f"{self.name}: nothing shows that {what} has the focus"
                return
            self.key(key)
        raise AssertionError(f"{self.name}: {key} never comes to {what}")

    def fill(self, what, text):
        self.to(what)
        self.key("Control+A")
        self.page.keyboard.type(text)

    def look(self, called):
        """A picture, and what axe says of the page."""
        if self.pictures:
            self.page.screenshot(path=self.pictures / f"{self.name}-{called}.png", full_page=called != "dialog")
        found = Axe().run(self.page).response["violations"]
        told = [f"{rule['id']}: {rule['help']}: {[node['html'][:160] for node in rule['nodes'][:3]]}" for rule in found]
        assert not told, f"{self.name}, {called}: {told}"
        width = self.page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert width <= 0, f"{self.name}, {called}: the page is {width} pixels wider than the screen"

    def end(self):
        jumped = self.page.evaluate("() => window.jumped")
        assert jumped <= JUMP, f"{self.name}: things jumped by {jumped}"
        self.context.close()
        assert not self.complaints, f"{self.name}: {self.complaints}"


def buys(visit, shop):
    """Browse, search, product, cart, log in, buy, order, all orders, log out."""
    page = visit.page
    page.goto(shop)
    expect(page.locator(".card").first).to_be_visible()
    visit.look("list")
    visit.to("#skip")
    visit.key("Enter")
    assert page.evaluate("() => document.activeElement.id") == "main"

    visit.to("#q", key="Shift+Tab")
    page.keyboard.type("kettle")
    visit.key("Enter")
    expect(page.locator("h1")).to_have_text("Products for “kettle”")
    visit.look("search")
    visit.to(".card a")
    visit.key("Enter")
    expect(page.locator(".product h1")).to_be_focused()
    name = page.locator(".product h1").inner_text()
    assert "Kettle" in name and name in page.title()
    expect(page.locator(".product img")).to_have_js_property("complete", True)
    assert page.locator(".product img").evaluate("(image) => image.naturalWidth") > 0, "the picture is shown"

    visit.to("input[name=sku]")
    visit.key("ArrowDown")
    price = page.locator(".product .price.large").inner_text()
    visit.fill("#quantity", "2")
    visit.look("product")
    visit.to("form.add button")
    visit.key("Enter")
    expect(page.locator("#status")).to_contain_text("In the cart: 2 ×")
    expect(page.locator("#cart-count")).to_have_text("2")

    visit.to("#to-cart", key="Shift+Tab")
    visit.key("Enter")
    expect(page.locator("h1")).to_have_text("Your cart")
    expect(page.locator(".line")).to_contain_text(f"{price} each")
    visit.look("cart")
    visit.to("a[href='/?checkout']")
    visit.key("Enter")

    expect(page.locator("#login-email")).to_be_focused()
    visit.look("dialog")
    visit.fill("#login-email", "user00001@example.test")
    visit.fill("#login-password", "correct-horse-battery")
    visit.key("Enter")
    expect(page.locator("h1")).to_have_text("Check out")
    for field, text in ADDRESS.items():
        visit.fill(f"[name={field}]", text)
    visit.to("[name=country]")
    page.keyboard.type("Germany")
    visit.look("checkout")
    visit.to("[name=payment_token]")
    visit.to("form.checkout button")
    total = page.locator(".sum-line strong").inner_text()
    visit.key("Enter")

    expect(page.locator(".order .state")).to_have_text("Paid")
    expect(page.locator(".items tfoot")).to_contain_text(total)
    expect(page.locator("#cart-count")).to_be_hidden()
    visit.look("order")
    number = page.locator("h1").inner_text().removeprefix("Order ")
    visit.to("nav a[href='/?orders']", key="Shift+Tab")
    visit.key("Enter")
    expect(page.locator(".orders")).to_contain_text(number)
    visit.look("orders")
    visit.to(".orders a")
    visit.key("Enter")
    expect(page.locator("h1")).to_have_text(f"Order {number}")
    # A reload does not log out.
    page.reload()
    expect(page.locator("h1")).to_have_text(f"Order {number}")
    visit.to("#account")
    visit.key("Enter")
    expect(page.locator("#account")).to_have_text("Log in")
    visit.end()


def once(visit, pattern, status, code, more, times=1):
    """Answers the next request of this kind with a problem."""
    left = [times]

    def answer(route):
        if left[0] == 0:
            return route.fallback()
        left[0] -= 1
        body = {"type": "about:blank", "title": f"Title of {code}", "status": status, "code": code, "detail": f"Detail of {code}"}
        return route.fulfill(status=status, content_type="application/problem+json", headers=more, body=json.dumps(body))

    visit.refused.append(pattern.strip("*"))
    visit.page.route(pattern, answer)


def is_refused(visit, shop):
    """A busy shop is waited for, once and by itself; what went wrong is said in its words; a declined card is no end."""
    page = visit.page
    once(visit, "**/v1/products?**", 503, "overloaded", {"Retry-After": "1", "Retry-After-Ms": "700"})
    page.goto(shop)
    expect(page.locator("#busy")).to_contain_text("The shop is busy. Nothing was lost")
    expect(page.locator(".card").first).to_be_visible()
    expect(page.locator("#busy")).to_have_text("")

    once(visit, "**/v1/products/*", 500, "internal", {})
    visit.to(".card a")
    visit.key("Enter")
    for part in ["Title of internal", "Detail of internal"]:
        expect(page.locator(".problem")).to_contain_text(part)
    visit.look("problem")
    visit.to(".problem button")
    visit.key("Enter")
    expect(page.locator(".product")).to_be_visible()

    # What may have been executed is not sent again by itself.
    once(visit, "**/v1/carts", 504, "deadline-exceeded", {})
    visit.to("form.add button")
    visit.key("Enter")
    expect(page.locator(".problem")).to_contain_text("Title of deadline-exceeded")
    visit.to("form.add button", key="Shift+Tab")
    visit.key("Enter")
    expect(page.locator("#cart-count")).to_have_text("1")

    # But an order is: it has a key.
    page.goto(f"{shop}/?checkout")
    expect(page.locator("#login")).to_be_visible()
    visit.to("#login-other")
    visit.key("Enter")
    expect(page.locator("#login-name")).to_be_focused()
    page.keyboard.type("Grace Hopper")
    visit.fill("#login-email", f"grace-{visit.name}-{time.time_ns()}@example.test")
    visit.fill("#login-password", "a wren upon the quay 9")
    visit.key("Enter")
    expect(page.locator("h1")).to_have_text("Check out")
    visit.refused.append("/v1/orders")
    visit.to("[name=name]")
    visit.to("[name=payment_token]")
    visit.to("form.checkout button")
    visit.key("Enter")
    # Nothing was filled in: each field says so.
    expect(page.locator("#address-name")).to_be_focused()
    expect(page.locator("#address-name-fault")).not_to_be_empty()
    visit.look("faults")
    for field, text in ADDRESS.items():
        visit.fill(f"[name={field}]", text)
    keys = []
    page.on("request", lambda request: request.method == "POST" and request.url.endswith("/v1/orders") and keys.append(request.headers["idempotency-key"]))
    once(visit, "**/v1/orders", 504, "deadline-exceeded", {})
    visit.to("[name=payment_token]")
    visit.key("ArrowDown")
    visit.to("form.checkout button")
    visit.key("Enter")
    expect(page.locator(".order .state")).to_have_text("The payment failed")
    assert len(keys) == 2 and keys[0] == keys[1], keys
    visit.look("declined")
    visit.to("[name=payment_token]")
    visit.to("form.again button")
    visit.key("Enter")
    expect(page.locator(".order .state")).to_have_text("Paid")
    visit.to(".cancel button")
    visit.key("Enter")
    expect(page.locator(".order .state")).to_have_text("Cancelled")
    visit.end()


def main(shop, chromium, pictures=None):
    folder = pictures and pathlib.Path(pictures)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    wide, small = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
    # All four only for whoever wants to look at them.
    looks = [("wide", "light", wide), ("small", "dark", small)]
    if folder:
        looks += [("wide", "dark", wide), ("small", "light", small)]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        for size, colours, viewport in looks:
            buys(Visit(browser, f"{size}-{colours}", folder, viewport=viewport, color_scheme=colours), shop)
            print(f"{size}, {colours}: bought by keyboard alone", flush=True)
        is_refused(Visit(browser, "refused", folder, viewport=small, color_scheme="light"), shop)
        print("refusals are told, and waited for where that is safe", flush=True)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
