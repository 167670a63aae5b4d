"""The passages: enough of them, short, in several styles, told apart, and read as they were written."""

import pytest

from tokentrace import passages as module
from tokentrace.passages import DEFAULT, passage, passages
from tokentrace.plain_data import TraceError


def test_there_are_enough_of_several_styles():
    found = passages()
    assert len(found) >= 24
    assert len({each.style for each in found}) >= 8
    assert len({each.title for each in found}) == len({each.text for each in found}) == len(found)
    assert DEFAULT in {each.name for each in found}


@pytest.mark.parametrize("each", passages(), ids=lambda each: each.name)
def test_each_is_short_and_ends_with_a_sentence(each):
    """Catches: a file cut off, a title read as text."""
    assert 80 <= each.n_words <= 150
    assert each.text == each.text.strip()
    assert each.text[-1] in '.!?"'
    assert each.title not in each.text.split("\n")[0]


def test_one_is_found_by_its_name():
    assert passage("soup").style == "recipe"
    assert passage("soup").text.startswith("Take three leeks")
    with pytest.raises(TraceError, match=r"no passage called 'stone'.*fox"):
        passage("stone")


def test_a_file_that_is_not_right_is_named(tmp_path, monkeypatch):
    """Catches: a missing empty line that would swallow the first sentence."""
    (tmp_path / "passages").mkdir()
    (tmp_path / "passages" / "broken.txt").write_text("A title\nstory\nThe text begins at once.\n")
    monkeypatch.setattr(module, "data_folder", lambda: tmp_path)
    with pytest.raises(TraceError, match=r"broken\.txt: expected a title"):
        passages.__wrapped__()
