"""Training in the page, as a reader does it in both hosts; what is shown is read off the page."""

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from tokentrace.mask_training import recorded_mask_training, say_mask_training
from tokentrace.scheduled_sampling import WAYS, chance, recorded_training, say_outcome, say_run
from tokentrace.synthetic_language import WORDS

NOTEBOOK = "03_exposure.ipynb"
TWO_LINES = re.compile("against updates, teacher forcing ends at [0-9.]+; own samples only ends at [0-9.]+; the truth")
LIVE = 90_000  # ms that loading torch, a short training and its measurement may take on a busy machine


@pytest.fixture
def page(shared_notebook, host) -> Page:
    return shared_notebook(host, NOTEBOOK)


def view(page: Page, name: str) -> Locator:
    found = page.locator(f".tt-root.tt-{name}").first
    found.scroll_into_view_if_needed()
    return found


def cells(row: Locator) -> list[str]:
    return row.locator("td.tt-num").all_inner_texts()


def test_a_recorded_training_is_read(page, host, screenshot):
    """Every control that needs no kernel. Catches: a row of another learner, a curve that stays, a mark misplaced."""
    run, lesson = recorded_training("ways"), view(page, "lesson")
    expect(lesson.locator(".tt-badge")).to_contain_text(f"RECORDED {run.done} updates")
    expect(lesson.locator(".tt-train-says")).to_have_text(say_run(run))
    rows = lesson.locator(".tt-lesson-results tbody tr")
    expect(rows).to_have_count(len(run.outcomes) + 1)
    for row, each in enumerate(run.outcomes):
        shown = cells(rows.nth(row))
        assert shown[:2] == [f"{each.data[0]:.3f}", f"{each.own[0]:.3f}"]
        assert shown[2].startswith(f"{each.ratio[0]:.2f} [")
    screenshot(page, f"chapter3-training-{host}")

    rows.nth(4).locator("button").click()
    expect(lesson.locator(".tt-lesson-one h3")).to_have_text(run.outcomes[4].recipe.name)
    expect(lesson.locator(".tt-lesson-one > .tt-note")).to_have_text(say_outcome(run, run.outcomes[4]))
    texts = lesson.locator(".tt-sample")
    assert " ".join(texts.first.inner_text().split()) == " ".join(run.outcomes[4].samples[0])
    assert lesson.locator(".tt-sample-out").count() == sum(map(len, run.outcomes[4].wrong))

    lesson.get_by_role("button", name="As a table").click()
    table = lesson.locator(".tt-train-table tbody tr")
    expect(table).to_have_count(len(run.at))
    expect(table.last.locator("td").nth(1)).to_have_text(f"{run.outcomes[0].held[-1]:.3f}")
    lesson.get_by_role("button", name="loss as trained").click()
    expect(table.last.locator("td").nth(5)).to_have_text(f"{run.outcomes[4].training[-1]:.3f}")
    lesson.get_by_role("button", name="chance of a true word").focus()
    page.keyboard.press("Enter")
    wanted = chance("linear", run.at[3] - 1, run.plan.updates, run.plan.floor)
    expect(table.nth(3).locator("td").nth(2)).to_have_text(f"{wanted:.3f}")
    lesson.get_by_role("button", name="loss on new text").click()
    lesson.get_by_role("button", name="As a table").click()

    for name, kind in (("how much text", "texts"), ("the size of the learner", "width")):
        lesson.get_by_role("button", name=name).click()
        other = recorded_training(kind)
        expect(lesson.locator(".tt-train-says")).to_have_text(say_run(other))
        expect(rows).to_have_count(len(other.outcomes) + 1)
        expect(rows.first.locator("button")).to_have_text(other.outcomes[0].recipe.name)
    lesson.get_by_role("button", name="the way of training").click()
    expect(lesson.locator(".tt-train-says")).to_have_text(say_run(run))


def test_learners_are_trained_in_the_page(page, host, screenshot):
    """Choose, train, watch, stop. Catches: settings that are not sent, curves that do not come, a Stop unheard."""
    lesson = view(page, "lesson")
    boxes = lesson.locator(".tt-lesson-names input")
    expect(boxes).to_have_count(len(WAYS))
    for box in boxes.all():
        box.uncheck()
    lesson.get_by_role("button", name="Train here").click()
    expect(lesson.locator(".tt-problem")).to_contain_text("at least one learner")
    lesson.get_by_role("checkbox", name="teacher forcing").check()
    lesson.get_by_role("checkbox", name="own samples only").check()
    lesson.get_by_role("combobox", name="updates").select_option("800")
    lesson.get_by_role("combobox", name="true words at least").select_option("0")
    lesson.get_by_role("combobox", name="texts", exact=True).select_option("400")
    lesson.get_by_role("button", name="Train here").click()
    expect(lesson.locator(".tt-train-act .tt-note")).to_contain_text("of 800 updates", timeout=LIVE)
    expect(boxes.first).to_be_disabled()
    expect(lesson.locator(".tt-plot svg").first).to_have_attribute("aria-label", TWO_LINES, timeout=LIVE)
    lesson.get_by_role("button", name="Stop").click()
    expect(lesson.locator(".tt-badge")).to_contain_text("LIVE", timeout=LIVE)
    expect(lesson.get_by_role("button", name="Train here")).to_be_visible(timeout=LIVE)
    done = int(lesson.locator(".tt-badge").inner_text().split()[1].replace(",", ""))
    assert 0 < done < 800
    rows = lesson.locator(".tt-lesson-results tbody tr")
    expect(rows).to_have_count(3)
    expect(lesson.locator(".tt-problem")).to_be_hidden()
    assert rows.locator("th").all_inner_texts() == ["teacher forcing", "own samples only", "the truth"]
    assert all(float(cells(rows.nth(row))[0]) > 0 for row in (0, 1))
    words = set(" ".join(lesson.locator(".tt-sample").all_inner_texts()).split())
    assert words <= set(WORDS)
    screenshot(page, f"chapter3-trained-{host}")


def test_the_mask_is_left_out(page, host, screenshot):
    """Catches: columns exchanged, a curve of the other reading, a training that changes nothing."""
    run, peek = recorded_mask_training(), view(page, "peek")
    expect(peek.locator(".tt-badge")).to_contain_text("RECORDED")
    expect(peek.locator(".tt-train-says")).to_have_text(say_mask_training(run))
    facts = peek.locator(".tt-peek-columns section")
    expect(facts.nth(0).locator("dd").first).to_have_text(f"{run.masked.held[-1]:.2f}")
    expect(facts.nth(1).locator("dd").first).to_have_text(f"{run.open.held[-1]:.2f}")
    screenshot(page, f"chapter3-mask-{host}")
    chart = peek.locator(".tt-plot svg")
    before = chart.get_attribute("aria-label")
    peek.get_by_role("button", name="reading only what stands before").click()
    expect(chart).not_to_have_attribute("aria-label", before)
    assert f"without {run.open.alone[-1]:.2f}" in chart.get_attribute("aria-label")
    peek.get_by_role("button", name="As a table").click()
    last = peek.locator(".tt-train-table tbody tr").last.locator("td").all_inner_texts()
    assert last[1:] == [
        f"{value:.3f}" for value in (run.masked.held[-1], run.open.held[-1], run.masked.alone[-1], run.open.alone[-1])
    ]
    peek.get_by_role("combobox", name="updates").select_option("50")
    peek.get_by_role("button", name="Train here").click()
    expect(peek.locator(".tt-badge")).to_contain_text("LIVE 50 updates", timeout=LIVE)
    expect(peek.locator(".tt-train-says")).to_contain_text("After 50 updates")
