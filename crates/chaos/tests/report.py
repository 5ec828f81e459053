"""What .ci/report does in the browser: report.py REPORT.HTML CHROMIUM [FOLDER FOR PICTURES]

The page of a replay, from the disk, on a large screen and a small one, light and dark, and on paper."""

import pathlib
import sys

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

# What a browser does with a style: the colour behind a word, and the word's own.
COLOURS = "() => { const style = getComputedStyle(document.body); return [style.backgroundColor, style.color]; }"
SHOWN = "(charts) => charts.filter((chart) => chart.getBoundingClientRect().width > 0).length"
NAMES = "(charts) => charts.map((chart) => chart.getAttribute('aria-label') ?? '')"
SMALLEST = """(texts) => Math.min(...texts.map((text) => text.getBoundingClientRect().height).filter((height) => height > 0))"""


def look(browser, file, scheme, width, pictures):
    asked, complaints, name = [], [], f"{scheme}-{width}"
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(file.as_uri())
    assert asked == [file.as_uri()], f"{name}: it asks for {asked}"
    assert not complaints, f"{name}: {complaints}"
    wider = page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wider <= 0, f"{name}: {wider} pixels wider than the screen"
    charts = page.locator("figure svg")
    figures = page.locator("figure").count()
    assert figures >= 8, f"{name}: {figures} charts"
    assert charts.evaluate_all(SHOWN) == figures, f"{name}: each chart is shown once"
    assert all(len(said) > 40 for said in charts.evaluate_all(NAMES)), f"{name}: a chart says nothing to who cannot see it"
    smallest = page.locator("figure svg text").evaluate_all(SMALLEST)
    assert smallest >= 9, f"{name}: text of {smallest} pixels"
    if pictures:
        page.screenshot(path=pictures / f"report-{name}.png", full_page=True)
    colours = page.evaluate(COLOURS)
    context.close()
    return colours


def bars_nobody(browser, file, scheme, width):
    # axe is a script, which the page's own policy does not let in.
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.goto(file.as_uri())
    found = Axe().run(page).response["violations"]
    told = [f"{rule['id']}: {rule['help']}: {[node['html'][:160] for node in rule['nodes'][:3]]}" for rule in found]
    assert not told, f"{scheme}-{width}: {told}"
    context.close()


def prints(browser, file, pictures):
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    page.goto(file.as_uri())
    paper = page.pdf(path=pictures / "report.pdf" if pictures else None, format="A4")
    assert paper.startswith(b"%PDF") and len(paper) > 20_000, f"{len(paper)} bytes of paper"
    page.emulate_media(media="print")
    assert page.evaluate(COLOURS) == ["rgb(255, 255, 255)", "rgb(0, 0, 0)"], "paper is white, on a dark screen too"
    assert page.locator("figure svg").evaluate_all(SHOWN) == page.locator("figure").count()
    context.close()


def main():
    file, chromium = pathlib.Path(sys.argv[1]).resolve(), sys.argv[2]
    pictures = pathlib.Path(sys.argv[3]) if len(sys.argv) > 3 else None
    if pictures:
        pictures.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        seen = {}
        for scheme in ("light", "dark"):
            for width in (1280, 360):
                seen[scheme] = look(browser, file, scheme, width, pictures)
                bars_nobody(browser, file, scheme, width)
        assert seen["light"] != seen["dark"], seen
        prints(browser, file, pictures)
        browser.close()
    print("the report can be read on every screen and on paper")


main()
