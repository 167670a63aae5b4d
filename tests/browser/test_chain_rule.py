"""Chapter 1 by hand and on a model, as a reader uses it in both hosts; every result is read off the page."""

import math
import random
import re
from collections import Counter

import pytest
from playwright.sync_api import Locator, Page, expect

import tokentrace
from tokentrace import five_words
from tokentrace.chain_rule import moved, running, score, scored
from tokentrace.five_words import END

NOTEBOOK = "01_chain_rule.ipynb"
LIVE = 60_000  # ms that loading the model may take on a busy machine


@pytest.fixture
def page(shared_notebook, host) -> Page:
    return shared_notebook(host, NOTEBOOK)


@pytest.fixture(scope="module")
def model():
    return tokentrace.load("storyteller")


def view(page: Page, name: str, at: int = 0) -> Locator:
    found = page.locator(f".tt-{name}").nth(at)
    found.scroll_into_view_if_needed()
    return found


def nats(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")


def written(tree: Locator) -> str:
    return tree.locator(".tt-tree-text").inner_text().replace("\n", "")


# ---- by hand


def test_a_sentence_grows_word_by_word(page, host, screenshot):
    """The worked example by mouse and by keyboard. Catches: a product that is not the path's, a dead key."""
    tree = view(page, "wordtree")
    start_over = tree.get_by_role("button", name="Start over")
    if start_over.is_enabled():
        start_over.click()
    expect(tree.locator(".tt-node")).to_have_count(1)
    for place, word in enumerate(["I", "love", "AI", "⟨end⟩"]):
        tree.locator(".tt-node").nth(place).get_by_role("button", name=re.compile(f"^{word}, ")).click()
    expect(tree.locator(".tt-sums-all")).to_have_text(["0.0672", "−2.70", "0.0672"])
    rows = tree.locator(".tt-sums tr")
    assert re.sub(r"\s", "", rows.nth(1).inner_text()) == "P=0.20×0.60×0.70×0.80=0.0672"
    assert re.sub(r"\s", "", rows.nth(2).inner_text()) == "lnP=−1.61−0.51−0.36−0.22=−2.70"
    expect(tree.locator(".tt-tree-done li")).to_have_count(1)
    screenshot(page, f"chapter1-tree-{host}")

    tree.get_by_role("button", name="Undo").click()
    expect(tree.locator(".tt-sums-all").first).to_have_text("0.084")
    tree.locator(".tt-leaf[tabindex='0']").last.focus()
    page.keyboard.press("Home")
    expect(tree.locator(".tt-node")).to_have_count(1)
    # The most probable word has the focus at every node: the right arrow alone is greedy.
    greedy = five_words.greedy()
    for _ in greedy:
        page.keyboard.press("ArrowRight")
    expect(tree.locator(".tt-sums-all").first).to_have_text(f"{float(five_words.probability(greedy)):.4g}")
    page.keyboard.press("ArrowLeft")
    expect(tree.locator(".tt-node")).to_have_count(len(greedy))
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(tree.locator(".tt-node")).to_have_count(len(greedy) + 1)
    tree.locator(".tt-node").first.get_by_role("button", name=re.compile("^code, ")).click()
    expect(tree.locator(".tt-sums-all").first).to_have_text("0.19")


def test_a_long_sentence_ends_for_certain(page):
    tree = view(page, "wordtree")
    if tree.get_by_role("button", name="Start over").is_enabled():
        tree.get_by_role("button", name="Start over").click()
    words = ["love"] * five_words.LIMIT
    for place, word in enumerate(words):
        tree.locator(".tt-node").nth(place).get_by_role("button", name=re.compile(f"^{word}, ")).click()
    last = tree.locator(".tt-node").last
    expect(last.get_by_role("button", disabled=True)).to_have_count(4)
    last.get_by_role("button", name=re.compile("end")).click()
    p = float(five_words.probability((*words, END)))
    assert abs(float(tree.locator(".tt-sums-all").nth(1).inner_text().replace("−", "-")) - math.log(p)) < 0.006


def test_the_sampler_draws_what_python_draws(page, host, screenshot):
    """Every button; the counts on the page against the same random numbers here."""
    ranks = view(page, "allsentences")
    ranks.get_by_role("button", name="Start over").click()
    expect(ranks.locator(".tt-fit")).to_have_text("Nothing drawn yet.")
    expect(ranks.locator(".tt-drawn").first).to_have_text("—")
    total = 0
    for n in (1, 10, 100, 1000):
        ranks.get_by_role("button", name=f"Draw {n:,}", exact=True).click()
        total += n
        expect(ranks.locator(".tt-fit")).to_contain_text(f"{total:,} sentence")
    shown = [float(text.rstrip("%")) for text in ranks.locator("td.tt-drawn").all_text_contents()]
    exact = five_words.sentences()
    rows = [words for words, _ in exact[: len(shown) - 1]]
    numbers = random.Random(1)
    drawn = Counter(five_words.draw(numbers) for _ in range(total))
    wanted = [100 * drawn[words] / total for words in rows]
    assert shown == pytest.approx([*wanted, 100 - sum(wanted)], abs=0.006)
    fit = five_words.fit(drawn, exact)
    said = ranks.locator(".tt-fit").inner_text()
    assert f"Chi-square {fit.chi_square:.1f} with {fit.degrees} degrees of freedom" in said
    assert f"{100 * fit.largest:.2f}%" in said
    expect(ranks.locator(".tt-gaps circle")).to_have_count(4)
    expect(ranks.locator("tr[data-best]")).to_contain_text("I love AI")
    expect(ranks.locator("tr[data-greedy]")).to_contain_text(" ".join(five_words.greedy()[:-1]))
    screenshot(page, f"chapter1-sentences-{host}")


# ---- a text on a model


def test_first_paint_is_the_recorded_score_and_every_token_can_be_looked_at(page, host, screenshot):
    """Catches: a page that needs the model first, numbers that do not follow the token, a dead control."""
    record, shown = scored("chain_rule"), view(page, "sentence")
    n, curves = len(record.ids), running(record)
    expect(shown.locator(".tt-badge")).to_contain_text("RECORDED")
    expect(shown.locator(".tt-sent-text .tt-chip")).to_have_count(n)
    expect(shown.locator(".tt-costs i")).to_have_count(n)
    ranks = [int(text.strip("#").replace(",", "")) for text in shown.locator(".tt-cost-ranks span").all_text_contents()]
    assert ranks == [token.rank for token in record.tokens]
    values = shown.locator(".tt-stat-value")
    expect(values.nth(0)).to_have_text(f"{nats(record.logprob)}nats")
    expect(values.nth(2)).to_have_text(f"{record.perplexity:.1f}")
    expect(values.nth(3)).to_have_text(f"{record.bits_per_byte:.3f}")
    screenshot(page, f"chapter1-sentence-{host}")

    slider = shown.get_by_role("slider", name="Token")
    slider.focus()
    page.keyboard.press("Home")
    expect(slider).to_have_attribute("aria-valuenow", "1")
    expect(values.nth(0)).to_have_text(f"{nats(record.tokens[0].logprob)}nats")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(values.nth(0)).to_have_text(f"{nats(curves['logprob'][2])}nats")
    expect(shown.locator(".tt-panel-sums .tt-panel-value")).to_have_text(nats(curves["logprob"][2]))
    expect(shown.locator(".tt-panel-costs .tt-panel-value")).to_have_text(nats(record.tokens[2].logprob))
    for name, place in (("Last token", n), ("One token back", n - 1), ("First token", 1), ("One token forward", 2)):
        shown.get_by_role("button", name=name).click()
        expect(slider).to_have_attribute("aria-valuenow", str(place))
    shown.locator(".tt-sent-text .tt-chip").nth(4).click()
    expect(slider).to_have_attribute("aria-valuenow", "5")
    box = shown.locator(".tt-panel-plot").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 9.5 / n, box["y"] + 40)
    expect(slider).to_have_attribute("aria-valuenow", "10")
    token = record.tokens[9]
    bars = shown.locator(".tt-guess:not(.tt-guess-axis)")
    expect(bars).to_have_count(len(token.candidates) + (token.token not in token.candidates))
    expect(shown.locator(".tt-guess[data-now] .tt-words")).to_have_text(record.token_text(token.token).strip())
    expect(shown.locator(".tt-sent-question")).to_contain_text(f"rank {token.rank:,} of")

    shown.get_by_role("button", name="First token").click()
    shown.get_by_role("button", name="Play", exact=True).click()
    expect(slider).to_have_attribute("aria-valuenow", re.compile(r"^([3-9]|1\d)$"), timeout=10_000)
    shown.get_by_role("button", name="Pause", exact=True).click()
    rest = slider.get_attribute("aria-valuenow")
    page.wait_for_timeout(700)
    assert slider.get_attribute("aria-valuenow") == rest

    shown.get_by_role("button", name="As a table").click()
    rows = shown.locator(".tt-sent-twin tbody tr")
    expect(rows).to_have_count(n)
    assert [row.locator("td").nth(6).inner_text() for row in rows.all()] == [nats(each) for each in curves["logprob"]]


def test_another_text_is_scored_live(page, model, host):
    """With both models. Catches: a button that shows the record again, a model list that changes nothing."""
    shown = view(page, "sentence")
    text = "The old dog slept by the warm fire, and nobody woke it."
    for name in ("storyteller", "draft"):
        wanted = score(tokentrace.load(name), text)
        shown.get_by_label("Text to score").fill(text)
        shown.get_by_label("Model").select_option(name)
        shown.get_by_role("button", name="Score", exact=True).click()
        expect(shown.locator(".tt-badge")).to_contain_text(f"LIVE {name}", timeout=LIVE)
        expect(shown.locator(".tt-sent-text .tt-chip")).to_have_count(len(wanted.ids))
        expect(shown.locator(".tt-stat-value").first).to_have_text(f"{nats(wanted.logprob)}nats")
    shown.get_by_label("Text to score").fill("word " * 600)
    shown.get_by_role("button", name="Score", exact=True).click()
    expect(shown.get_by_role("alert")).to_contain_text("reads at most", timeout=LIVE)
    expect(shown.locator(".tt-sent-text .tt-chip")).to_have_count(len(wanted.ids))
    shown.get_by_label("Text to score").fill("It rains.")
    page.keyboard.press("Enter")
    expect(shown.locator(".tt-sent-text .tt-chip")).to_have_count(len(score(model, "It rains.").ids), timeout=LIVE)
    expect(shown.get_by_role("alert")).to_be_hidden()


def test_the_product_ends_where_its_float_type_does(page, host, screenshot):
    record, shown = scored("chain_rule_long"), view(page, "sentence", 1)
    found = running(record)["products"]
    says = shown.locator(".tt-float-say").all_text_contents()
    values = shown.locator(".tt-float-value")
    slider = shown.get_by_role("slider", name="Token")
    slider.focus()
    for place, (name, column) in enumerate(found.items()):
        assert says[place].startswith(f"{name}: 0 from token {column['zero'] + 1} on")
        shown.locator(".tt-sent-text .tt-chip").nth(column["zero"]).click()
        expect(values.nth(place)).to_have_text("0")
        page.keyboard.press("ArrowLeft")
        expect(values.nth(place)).not_to_have_text("0")
        page.keyboard.press("ArrowRight")
        expect(values.nth(place)).to_have_text("0")
        screenshot(page, f"chapter1-underflow-{name}-{host}")
    page.keyboard.press("End")
    expect(values).to_have_text(["0", "0", "0"])
    expect(shown.locator(".tt-stat-value").first).to_have_text(f"{nats(record.logprob)}nats")


def test_a_word_is_changed_and_only_what_follows_moves(page, model, host, screenshot):
    """Catches: versions mixed up, rows that are not aligned, a click that selects another word."""
    shown = view(page, "changed")
    old, new = scored("chain_rule_before"), scored("chain_rule_after")
    before, after = moved(old, new)
    expect(shown.locator(".tt-badge")).to_contain_text("RECORDED")
    expect(shown.locator("tr[data-fate=before]")).to_have_count(len(before))
    expect(shown.locator("tr[data-fate=after]")).to_have_count(len(after))
    expect(shown.locator(".tt-moved-say")).to_contain_text(f"{max(map(abs, after)):.2f} nats")
    screenshot(page, f"chapter1-changed-{host}")

    # Type over a word that was clicked, the last but two.
    at = len(new.ids) - 3
    start = sum(len(new.vocabulary[token]) for token in new.ids[:at])
    end = start + len(new.vocabulary[new.ids[at]])
    wanted = f"{new.text[:start]} glass{new.text[end:]}"
    shown.locator("button.tt-moved-word").nth(at).click()
    page.keyboard.type("glass")
    expect(shown.get_by_label("Second version")).to_have_value(wanted)
    shown.get_by_role("button", name="Score both").click()
    expect(shown.locator(".tt-badge")).to_contain_text("LIVE", timeout=LIVE)
    live = score(model, wanted)
    _, after = moved(score(model, old.text), live)
    expect(shown.locator("tr[data-fate=after]")).to_have_count(len(after))
    expect(shown.locator("button.tt-moved-word")).to_have_count(len(live.ids))

    shown.get_by_label("First version").fill("The end.")
    shown.get_by_label("Second version").fill("")
    shown.get_by_role("button", name="Score both").click()
    expect(shown.get_by_role("alert")).to_contain_text("sentence first", timeout=LIVE)
    expect(shown.locator("button.tt-moved-word")).to_have_count(len(live.ids))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("dark", {"color_scheme": "dark"}),
        ("phone", {"width": 390, "height": 844}),
        ("projector", {"width": 1920, "height": 1080}),
    ],
)
def test_it_fits(open_notebook, screenshot, name, options):
    """Nothing runs out of the page sideways. The pictures are for a person to look at."""
    page = open_notebook("voila", NOTEBOOK, reduced_motion="reduce", **options)
    if name == "projector":
        page.evaluate("document.body.setAttribute('data-tt-projector', '')")
    for place, selector in enumerate((".tt-wordtree", ".tt-allsentences", ".tt-sentence", ".tt-changed")):
        shown = page.locator(selector).first
        shown.scroll_into_view_if_needed()
        over = shown.evaluate("(node) => node.scrollWidth - node.clientWidth")
        assert over <= 1, f"{selector} is {over} px too wide"
        screenshot(page, f"chapter1-{place}-{name}")
