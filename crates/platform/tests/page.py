"""What .ci/watch does in the browser: page.py ADDRESS ADDRESS-WITH-TOKEN TOKEN CHROMIUM [FOLDER FOR PICTURES]

The page of the admin listener, over a pool under load, while a connection leaks. Everything is done by keys."""

import pathlib
import re
import sys
import urllib.request

from playwright.sync_api import expect, sync_playwright

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / "storefront/tests"))
from browser import Visit  # noqa: E402


# What a browser does with a page that nobody sees any more.
HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def done(visit):
    visit.context.close()
    assert not visit.complaints, f"{visit.name}: {visit.complaints}"


def watches(visit, address):
    """Somebody who sees the page for the first time finds who leaks a connection, in its first lines."""
    page = visit.page
    page.goto(address)
    expect(page.locator("#line-text")).to_have_text("Live")
    expect(page.locator("#tiles > div")).to_have_count(7)
    expect(page.locator("#sites tbody tr").first).to_contain_text("admin_page.rs:")
    expect(page.locator("#statements tbody tr").first).to_contain_text("SELECT pg_class")
    # Enough seconds for a line, on each of the charts.
    for chart in range(4):
        expect(page.locator("svg.chart .trace.a").nth(chart)).to_have_attribute("d", re.compile("[LH].*[LH]"))
    names = page.locator("svg.chart").evaluate_all("(charts) => charts.map((chart) => chart.getAttribute('aria-label'))")
    assert len(names) == 4 and all("the last 15 minutes" in name for name in names), names
    visit.look("load")

    urllib.request.urlopen(f"{address}/leak", timeout=30).read()
    found = page.locator(".finding.bad", has_text="Held and not used")
    expect(found.locator("strong")).to_have_text(re.compile(r"Held and not used: crates/platform/examples/admin_page\.rs:\d+:\d+"))
    expect(found).to_contain_text("select relkind, sum(relpages) from pg_class where relname <> ? group by relkind")
    expect(found).to_contain_text(re.compile(r"It holds 1 connection now, the oldest since \d\d:\d\d:\d\d, and has run nothing for [\d.]+ m?s\."))
    assert "hidden" not in found.inner_text()
    assert found.bounding_box()["y"] < 400, "it is the first thing on the page"
    expect(page.locator("#spoken")).to_contain_text("Held and not used")
    held = page.locator("#holders tr.bad", has_text="relkind")
    expect(held).to_contain_text("admin_page.rs:")
    visit.look("leak")
    expect(found).to_contain_text(re.compile(r"The pool took \d+ connections? back from it"))
    expect(page.locator("#moves")).to_contain_text("its place was given to others")
    visit.look("taken-back")


def changes(visit, most):
    """A change is shown before it is made, and what cannot be is said where it was filled in."""
    page = visit.page
    visit.to("#pause", key="Shift+Tab")
    visit.key("Enter")
    expect(page.locator("#line-text")).to_contain_text("Stopped at")
    visit.key("Enter")
    expect(page.locator("#line-text")).to_have_text("Live")

    visit.refused.append("/pool")
    visit.fill("#max", "1")
    visit.key("Enter")
    expect(page.locator("#sure")).to_be_visible()
    expect(page.locator("#sure-no")).to_be_focused()
    visit.to("#sure-yes")
    visit.key("Enter")
    expect(page.locator("#max-fault")).to_contain_text("must be at least 2")
    expect(page.locator("#max")).to_be_focused()
    visit.look("fault")

    visit.fill("#max", str(most))
    visit.key("Enter")
    expect(page.locator("#sure-what")).to_contain_text(f"becomes {most}")
    visit.look("dialog")
    visit.key("Enter")
    expect(page.locator("#sure")).not_to_be_visible()
    expect(page.locator("#max-hint")).not_to_have_text(f"now {most}")
    visit.to("form#change button")
    visit.key("Enter")
    visit.to("#sure-yes")
    visit.key("Enter")
    expect(page.locator("#change-said")).to_contain_text("Done.")
    expect(page.locator("#max-hint")).to_have_text(f"now {most}")
    done(visit)


def shows_a_token(visit, address, token):
    """The token is asked for, kept in the tab, and never in an address. Hidden, the page holds no connection; lost, it says so."""
    page = visit.page
    visit.refused.append("/pool/live")
    page.goto(address)
    expect(page.locator("#token")).to_be_focused()
    visit.look("token")
    visit.fill("#token", "none-0123456789")
    visit.key("Enter")
    expect(page.locator("#token-fault")).to_contain_text("not one of this listener's")
    visit.fill("#token", token)
    visit.key("Enter")
    expect(page.locator("#line-text")).to_have_text("Live")
    page.reload()
    expect(page.locator("#line-text")).to_have_text("Live")
    assert token not in page.url and not page.context.cookies()

    with page.expect_event("requestfailed", lambda request: request.url.endswith("/pool/live")):
        page.evaluate(HIDE, True)
    page.route("**/pool/live", lambda route: route.fulfill(status=503, content_type="application/problem+json", body='{"detail": "as many watch as may"}'))
    page.evaluate(HIDE, False)
    lost = re.compile("Not live since .*: as many watch as may")
    expect(page.locator("#line-text")).to_have_text(lost)
    visit.to("#pause")
    for _ in range(2):
        visit.key("Enter")
        expect(page.locator("#line-text")).to_have_text(lost)
    page.unroute("**/pool/live")
    expect(page.locator("#line-text")).to_have_text("Live")
    done(visit)


def has_no_script(browser, address):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(address)
    text = page.locator("noscript p")
    expect(text).to_be_visible()
    expect(text).to_contain_text("The same is had as text: /pool")
    context.close()


def main(address, guarded, token, chromium, pictures=None):
    folder = pictures and pathlib.Path(pictures)
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    wide, small = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
    looks = [("wide", "light", wide), ("small", "dark", small)]
    if folder:
        looks += [("wide", "dark", wide), ("small", "light", small)]
    expect.set_options(timeout=20_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        for most, (size, colours, viewport) in enumerate(looks, 12):
            visit = Visit(browser, f"watch-{size}-{colours}", folder, viewport=viewport, color_scheme=colours)
            watches(visit, address)
            changes(visit, most)
            print(f"{size}, {colours}: the leak was found, and the pool changed", flush=True)
        shows_a_token(Visit(browser, "watch-token", folder, viewport=small, color_scheme="light"), guarded, token)
        has_no_script(browser, address)
        print("a token is asked for, and what goes wrong is said", flush=True)
        browser.close()


main(*sys.argv[1:])
