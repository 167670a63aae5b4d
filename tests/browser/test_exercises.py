"""Exercises as a student meets them: a wrong answer, its reason, the right one, the score."""

import json

from playwright.sync_api import expect

import tokentrace

NOTEBOOK = "02_generation_loop.ipynb"


def test_a_wrong_answer_gets_its_reason_and_the_score_counts(open_notebook, host, screenshot):
    page, trace = open_notebook(host, NOTEBOOK), tokentrace.recorded("generation_loop")
    prompt, written = len(trace.prompt_tokens), len(trace.steps)
    first = page.locator(".tt-ex", has_text="How often does it run?")
    first.scroll_into_view_if_needed()
    guess = first.locator("input[type=text]")
    guess.fill(str(prompt + written))
    first.locator("button[type=submit]").click()
    expect(first).to_contain_text("all of it goes through in one run")
    guess.fill(str(written))
    first.locator("button[type=submit]").click()
    expect(first).to_contain_text(f"Right: {written} runs")
    screenshot(page, f"exercise-{host}")

    card = page.locator(".tt-score")
    card.scroll_into_view_if_needed()
    expect(card).to_contain_text("1 of 12")
    card.get_by_label("your name").fill("Ann")
    save = card.get_by_role("button", name="Save for the teacher")
    if host == "voila":
        with page.expect_download() as download:
            save.click()
        score = json.loads(download.value.path().read_text())
        assert [(each["name"], each["right"]) for each in score["exercises"] if each["tries"]] == [("passes", True)]
    else:
        save.click()
        expect(card).to_contain_text(".json")
