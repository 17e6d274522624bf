"""Notes: facts to markdown that shows every text as it is."""

from markdown_it import MarkdownIt

from study.storage.notes import escape, failure_note, study_note, trial_note
from tests.support.fake_study import EVIL, fake_trial


def html(note: str) -> str:
    return MarkdownIt("gfm-like", {"linkify": False}).render(note)


def test_text_of_a_user_is_shown_as_it_is() -> None:
    for text in (EVIL, "**a** _b_ `c` [d](e) | f", "$x$ # y", "1. one", "http://a.example/"):
        shown = html(escape(text))
        assert "<img" not in shown
        assert "<script" not in shown
        assert not any(tag in shown for tag in ("<strong>", "<em>", "<a ", "<h1>", "<ol>"))
    assert "&lt;img" in html(failure_note(EVIL))
    assert "<img" not in html(study_note(EVIL, {"space": EVIL}, [EVIL], [EVIL]))


def test_note_of_a_trial_begins_with_its_scores_and_has_the_classes() -> None:
    trial = fake_trial(1)
    note = trial_note(trial.user_attrs, trial.params, "f1_macro")
    assert note.startswith("**F1(M) 0.")
    assert ">S Supraventricular</td>" in html(note)
    assert "stopped early" in note
    assert "1.5 s on cpu (fp32)" in html(note)
