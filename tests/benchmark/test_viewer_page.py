"""The page in a real browser, opened from a file as a reader opens it. The sample's first four cases are known by hand (viewer_sample.py)."""

from __future__ import annotations

import itertools
import json
import re
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from waiting import until

from benchmark import evaluator
from benchmark.records import RunConfig
from tests.benchmark.viewer_sample import SCRIPT, write_sample

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install clala-benchmark[test]")

CHROMIUM = Path("/usr/bin/chromium")
FLAGS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run")
VIEWER = Path(__file__).resolve().parents[2] / "benchmark" / "viewer"
MODELS = 10
CASES = 31_255
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}: apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        sync_api.expect.set_options(timeout=60_000)  # a busy machine draws late
        started = playwright.chromium.launch(executable_path=str(CHROMIUM), args=list(FLAGS))
        yield started
        started.close()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four cases of one model and no chance in them: what each filter leaves is known."""
    return write_sample(tmp_path_factory.mktemp("small"), cases=4, models=["clala"])


class Opened:
    """A page and all that it asked for and complained of."""

    def __init__(self, tab: Any) -> None:
        self.tab = tab
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.dialogs: list[str] = []
        tab.on("request", lambda request: self.requests.append(request.url))
        tab.on("console", lambda message: self.errors.append(message.text) if message.type in ("error", "warning") else None)
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        tab.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))

    def rows(self, awaited: Sequence[int] | None = None) -> list[int]:
        """The cases in the list; for a minute at most it is waited for those ``awaited``."""
        self.tab.locator(".finder[data-milliseconds]").wait_for()
        for _ in range(3_000):
            found = [int(place) for place in self.tab.locator(".row").evaluate_all("rows => rows.map(row => row.dataset.place)")]
            if awaited is None or found == list(awaited):
                break
            self.tab.wait_for_timeout(20)
        return found

    def says(self, text: str) -> None:
        sync_api.expect(self.tab.locator("#live")).to_have_text(text)

    def title(self, text: str) -> None:
        sync_api.expect(self.tab.locator("#case-title")).to_have_text(text)


@pytest.fixture
def opened(browser: Any) -> Iterator[Callable[..., Opened]]:
    """Opens a page in a window of its own; it must have complained of nothing and asked for nothing but files, unless told otherwise."""
    contexts: list[tuple[Any, Opened, bool]] = []

    def open_page(page: Path, place: str = "", may_complain: bool = False, **window: Any) -> Opened:
        context = browser.new_context(**{"viewport": {"width": 1400, "height": 900}, **window})
        one = Opened(context.new_page())
        contexts.append((context, one, may_complain))
        one.tab.goto(page.as_uri() + place)
        return one

    yield open_page
    for context, one, may_complain in contexts:
        assert may_complain or one.errors == []
        assert [url for url in one.requests if not url.startswith(("file:", "data:"))] == []
        assert one.dialogs == []
        context.close()


def _place(view: str = "cases", **filters: str) -> str:
    return f"#{view}?{urlencode(filters)}"


def test_the_page_opens_and_every_view_answers_without_an_error(opened: Callable[..., Opened], sample: Path) -> None:
    """Console errors and requests that are not of files are looked at by the fixture."""
    page = opened(sample)
    sync_api.expect(page.tab.locator("nav a[aria-current=page]")).to_have_text("Overview")
    page.tab.get_by_role("link", name="Cases 120").click()
    sync_api.expect(page.tab.locator("h1")).to_have_text("All 120 cases")
    page.tab.locator(".row").first.click()
    page.title("Case 1 of 120")
    assert all(re.search(r"/(index\.html|page/)", url) or url.startswith("data:") for url in page.requests)


LEFT: list[tuple[dict[str, str], list[int]]] = [
    ({}, [0, 1, 2, 3]),
    ({"error": "hit"}, [0, 1]),
    ({"error": "missed"}, [3]),
    ({"error": "invented"}, [0]),
    ({"error": "wrong-side"}, []),
    ({"error": "any"}, [0, 3]),
    ({"error": "failed"}, [2]),
    ({"error": "empty"}, [3]),
    ({"error": "right", "model": "clala"}, [1]),
    ({"lesion": "pleural effusion"}, [0, 2]),  # 2 failed, but its reference affirms it
    ({"lesion": "cardiomegaly", "error": "missed"}, [3]),
    ({"lesion": "pneumothorax", "error": "missed"}, []),
    ({"number": "rouge_l.f1", "from": "0.4"}, [1, 3]),
    ({"number": "rouge_l.f1", "from": "0.05", "to": "0.5"}, [0, 3]),
    ({"sort": "rouge_l.f1", "order": "up"}, [0, 3, 1, 2]),  # a case without the number is last,
    ({"sort": "rouge_l.f1", "order": "down"}, [1, 3, 0, 2]),  # either way
    ({"sort": "errors"}, [0, 3, 1, 2]),
    ({"q": "S00002"}, [2]),
    ({"q": "p00001"}, [2, 3]),
    ({"lesion": "no such lesion", "nonsense": "1"}, [0, 1, 2, 3]),  # an old link opens
]


def test_a_link_with_filters_leaves_the_cases_that_it_names(opened: Callable[..., Opened], small: Path) -> None:
    """In one window, link after link: two in a row leave different cases, so none can pass by standing still."""
    assert all(before != after for (_, before), (_, after) in itertools.pairwise(LEFT))
    page = opened(small, "#cases")
    for filters, left in LEFT:
        page.tab.goto(small.as_uri() + _place(**filters))
        page.says(f"{len(left)} of 4 cases")
        assert page.rows(left) == left, filters


def test_a_filter_chosen_by_hand_is_in_the_link_and_back_takes_it_off(opened: Callable[..., Opened], small: Path) -> None:
    page = opened(small, "#cases")
    page.rows()
    page.tab.get_by_label("Outcome", exact=True).select_option(label="+ Invented")
    page.says("1 of 4 cases")
    assert page.tab.evaluate("location.hash") == "#cases?error=invented"
    page.tab.get_by_label("Lesion").select_option(label="hernia")
    page.says("0 of 4 cases")
    sync_api.expect(page.tab.locator(".list")).to_have_text("No case is left by these filters.")
    page.tab.go_back()
    page.says("1 of 4 cases")
    sync_api.expect(page.tab.get_by_label("Lesion")).to_have_value("")
    page.tab.get_by_label("Search by case or patient").fill("no such case")
    page.says("0 of 4 cases")
    page.tab.get_by_role("button", name="Reset").click()
    page.says("4 of 4 cases")
    assert page.tab.evaluate("location.hash") == "#cases"


def test_a_number_range_and_the_order_are_set_by_hand(opened: Callable[..., Opened], small: Path) -> None:
    page = opened(small, "#cases")
    page.rows()
    page.tab.get_by_text("A number in a range").click()
    page.tab.get_by_label("Number", exact=True).select_option(label="ROUGE-L (google, stem)")
    page.tab.get_by_label("From").fill("0.2")
    page.says("2 of 4 cases")
    page.tab.get_by_label("Sorted by").select_option(label="ROUGE-L (google, stem)")
    sync_api.expect(page.tab.locator(".row").first).to_have_attribute("data-place", "1")
    page.tab.get_by_role("button", name="highest first").click()
    sync_api.expect(page.tab.locator(".row").first).to_have_attribute("data-place", "3")
    assert page.tab.locator(".row-key").all_text_contents() == ["0.500", "0.900"]


def test_the_keyboard_is_enough(opened: Callable[..., Opened], sample: Path) -> None:
    page = opened(sample, "#cases")
    keyboard = page.tab.keyboard
    page.rows()
    keyboard.press("j")
    keyboard.press("Enter")
    page.title("Case 2 of 120")
    keyboard.press("k")
    page.title("Case 1 of 120")
    page.says("Case 1 of 120: 1 invented, 2 hit by clala")
    keyboard.press("k")
    page.says("This is the first case.")
    keyboard.press("3")
    page.says("Case 1 of 120: 2 missed by constant")
    sync_api.expect(page.tab.locator(".reference .under-title")).to_have_text("marked with what constant made of it")
    keyboard.press("b")
    assert page.tab.locator(".boxes rect").count() == 4
    keyboard.press("b")
    assert page.tab.locator(".boxes rect").count() == 0
    keyboard.press("ArrowRight")
    page.title("Case 2 of 120")
    keyboard.press("l")
    sync_api.expect(page.tab.locator("#list")).to_be_hidden()
    keyboard.press("l")
    page.tab.locator("#list").focus()
    keyboard.press("End")
    keyboard.press("Enter")
    page.title("Case 120 of 120")
    keyboard.press("/")
    keyboard.type("s00003")  # letters and figures in a field are text, not commands
    sync_api.expect(page.tab.locator(".tally strong")).to_have_text("1")
    keyboard.press("Escape")
    sync_api.expect(page.tab.locator("#list")).to_be_focused()
    keyboard.press("Enter")
    page.title("Case 1 of 1")
    keyboard.press("Escape")
    page.says("1 of 120 cases")
    sync_api.expect(page.tab.locator("#list")).to_be_focused()


def test_the_focus_goes_with_the_reader(opened: Callable[..., Opened], small: Path) -> None:
    """To the view that is opened; within a view it stays on the control that was used, though the page around it is built anew."""
    page = opened(small)
    tab = page.tab
    focused = lambda name: sync_api.expect(tab.locator(f"#{name}")).to_be_focused()  # noqa: E731
    tab.get_by_role("link", name="Cases 4").focus()
    tab.keyboard.press("Enter")
    focused("list")
    tab.get_by_label("Sorted by").select_option("rouge_l.f1")
    tab.locator("#filter-order").focus()
    tab.keyboard.press("Enter")
    sync_api.expect(tab.locator("#filter-order")).to_have_text("lowest first ↑")
    focused("filter-order")
    tab.locator("#count-0-hit").focus()
    tab.keyboard.press("Enter")
    page.says("2 of 4 cases")
    focused("count-0-hit")
    tab.goto(small.as_uri() + "#case=s00000-f4dbdf21")
    page.title("Case 1 of 4")
    tab.locator("#card-0 .drawer summary").last.focus()
    tab.keyboard.press("j")
    page.title("Case 2 of 4")
    assert tab.evaluate("document.activeElement.closest('#card-0')?.className") == "card report"
    tab.locator("#next-case").focus()
    for case in (3, 4):
        tab.keyboard.press("Enter")
        page.title(f"Case {case} of 4")
        focused("next-case" if case < 4 else "case-title")  # at the end there is no next one to press
    tab.locator("#stage-regions summary").press("Enter")
    for button, words, boxes in (("boxes-none", "No box is chosen: none is drawn", 0), ("boxes-all", "All 4 boxes are chosen", 4)):
        tab.locator(f"#{button}").press("Enter")
        page.says(words)
        focused(button)
        assert tab.locator(".boxes rect").count() == tab.locator(".boxes text:visible").count() == boxes
    tab.get_by_label("Outcome", exact=True).select_option("hit")
    page.says("2 of 4 cases; the open case is not among them")
    tab.get_by_role("link", name="Overview").click()
    focused("overview-title")


def test_keys_are_left_to_what_has_the_focus(opened: Callable[..., Opened], sample: Path) -> None:
    """Arrows to what they scroll, all of them to a dialog, and single letters to nobody once they are switched off."""
    page = opened(sample, "#case=s00000-f4dbdf21", viewport={"width": 700, "height": 900})
    page.title("Case 1 of 120")
    tab = page.tab
    sheet = tab.locator("#lesions-sheet")
    sheet.evaluate("sheet => (sheet.style.maxWidth = '200px')")
    sheet.focus()
    tab.keyboard.press("ArrowRight")
    until(lambda: sheet.evaluate("sheet => sheet.scrollLeft > 0"))
    page.title("Case 1 of 120")
    tab.evaluate("document.body.append(Object.assign(document.createElement('dialog'), {id: 'other'})); document.querySelector('#other').showModal()")
    tab.keyboard.press("j")
    tab.keyboard.press("Escape")
    assert not tab.locator("#other").is_visible()
    page.title("Case 1 of 120")
    tab.keyboard.press("?")
    tab.locator("#letter-keys").uncheck()
    tab.keyboard.press("Escape")
    tab.keyboard.press("j")
    tab.reload()
    page.title("Case 1 of 120")
    tab.keyboard.press("j")
    tab.keyboard.press("ArrowRight")
    page.title("Case 2 of 120")


def test_a_summary_s_numbers_lead_to_as_many_cases(opened: Callable[..., Opened], sample: Path) -> None:
    """Whatever filters are set: each cell of the first models, asked with a lesion, a range and a search."""
    page = opened(sample, _place(model="clala", error="hit", lesion="pleural effusion", number="rouge_l.f1", to="0.8", q="s000"))
    page.rows()
    for cell, count in page.tab.locator(".summary a").evaluate_all("links => links.map(link => [link.id, link.textContent])")[::3]:
        page.tab.locator(f"#{cell}").click()
        page.says(f"{count} of 120 cases")


def test_a_range_finds_what_is_shown_as_its_bound(opened: Callable[..., Opened], tmp_path: Path) -> None:
    """Numbers are kept in single precision: 0.9 is 0.89999998 then. What rounds to the bound is within it; more figures are taken at their word."""
    page_file = write_sample(tmp_path, cases=4, models=["clala"])
    page = opened(page_file, "#cases")
    for ends, left in (({"from": "0.9"}, [1]), ({"to": "0.1"}, [0]), ({"from": "0.9004"}, []), ({"from": "0.5004", "to": "0.9"}, [1])):
        page.tab.goto(page_file.as_uri() + _place(number="rouge_l.f1", **ends))
        page.says(f"{len(left)} of 4 cases")
        assert page.rows(left) == left, ends


def test_a_run_without_lesions_speaks_of_none(opened: Callable[..., Opened], tmp_path: Path) -> None:
    """No filter of theirs, no count, no mark of an outcome; what a link asks beyond the run is said, and all is shown."""
    page_file = write_sample(tmp_path, cases=4, models=["clala"])
    run = tmp_path / "page" / "run.js"
    run.write_text(run.read_text().replace('"has_lesions": true', '"has_lesions": false'))
    model = tmp_path / "page" / "model-0.js"
    said = json.loads(re.sub(r'^CLALA.part\("model-0", |\);\s*$', "", model.read_text()))
    model.write_text(f'CLALA.part("model-0", {json.dumps({"state": said["state"], **dict.fromkeys(("hit", "missed", "invented", "wrong_side"))})});')
    page = opened(page_file, _place(lesion="hernia", error="right", model="nobody\u202e", number="no_such", sort="errors"))
    page.says("4 of 4 cases")
    unknown = page.tab.locator(".unknown").inner_text()
    for words in ('model "nobody⟨U+202E⟩"', 'lesion "hernia"', 'outcome "right"', 'number "no_such"', 'order by "errors"'):
        assert words in unknown
    assert page.tab.locator("#filter-lesion").count() == 0
    assert page.tab.locator("#filter-error option").all_text_contents() == ["Any outcome", "Failed", "Empty report"]
    page.tab.locator(".row").first.click()
    page.title("Case 1 of 4")
    assert "null" not in page.tab.locator("#view").inner_text()
    assert page.tab.locator(".reference .under-title").inner_text() == "lesions were not measured in this run"
    assert page.tab.locator(".verdict, .outcome, .mark-legend").count() == 0
    page.tab.goto(page_file.as_uri() + _place(q="no such case"))
    page.says("0 of 4 cases")
    page.tab.goto(page_file.as_uri() + "#case=s00000-f4dbdf21?q=no+such+case")
    page.title("Case 1 not among the filtered cases")
    assert page.tab.locator("#next-case").is_disabled()


def test_a_sorted_list_can_be_left_and_the_overview_is_kept(opened: Callable[..., Opened], sample: Path) -> None:
    """A list that is no longer there draws nothing (the fixture looks at errors); the link to the overview says what was shown there."""
    page = opened(sample, "#overview?measure=recall")
    page.tab.get_by_role("link", name="Cases 120").click()
    page.tab.get_by_label("Sorted by").select_option("rouge_l.f1")
    sync_api.expect(page.tab.locator(".row-key").first).to_have_text(re.compile(r"^0\."))
    page.tab.get_by_role("link", name="Overview").click()
    page.tab.set_viewport_size({"width": 1200, "height": 700})
    assert page.tab.evaluate("location.hash") == "#overview?measure=recall"
    page.tab.go_back()
    page.says("120 of 120 cases")


def test_the_best_model_is_in_focus_until_another_is_chosen(opened: Callable[..., Opened], tmp_path: Path) -> None:
    """By the first headline, and never the report that is the same for every case; the choice is kept without a link that says it."""
    page_file = write_sample(tmp_path, cases=4)
    run = tmp_path / "page" / "run.js"
    values = {"constant": 0.9, "retrieval": 0.6, "clala": 0.4}
    rows = [
        {"model": model, "metric": "lesions", "name": "macro_f1", "value": value, "better": "higher", "headline": True}
        for model, value in values.items()
    ]
    run.write_text(run.read_text().replace('"rows": []', f'"rows": {json.dumps(rows)}'))
    page = opened(page_file, "#case=s00000-f4dbdf21")
    under = page.tab.locator(".reference .under-title")
    sync_api.expect(under).to_have_text("marked with what retrieval made of it")
    page.tab.keyboard.press("1")
    page.tab.evaluate("location.hash = '#case=s00001-83dcefb7'")
    page.title("Case 2 of 4")
    sync_api.expect(under).to_have_text("marked with what clala made of it")


def test_help_tells_all_keys_and_gives_the_focus_back(opened: Callable[..., Opened], sample: Path) -> None:
    page = opened(sample, "#cases")
    page.rows()
    page.tab.get_by_label("Sorted by").focus()
    page.tab.get_by_role("button", name="Keys").focus()
    page.tab.keyboard.press("?")
    dialog = page.tab.get_by_role("dialog", name="Keys")
    sync_api.expect(dialog).to_be_visible()
    told = dialog.inner_text()
    for word in ("Next case", "Search", "Region boxes", "Invert", "Zoom in", "Reset window", "Copy a link", "Close the help"):
        assert word in told
    page.tab.keyboard.press("Escape")
    sync_api.expect(dialog).to_be_hidden()
    sync_api.expect(page.tab.get_by_role("button", name="Keys")).to_be_focused()


def test_tab_leaves_every_part_of_the_page(opened: Callable[..., Opened], small: Path) -> None:
    """No trap: from the first control to the last and round, each a different one."""
    page = opened(small, "#case=s00000-f4dbdf21")
    page.title("Case 1 of 4")
    seen = []
    for _ in range(60):
        page.tab.keyboard.press("Tab")
        seen.append(page.tab.evaluate("document.activeElement.id || document.activeElement.className || document.activeElement.tagName"))
    assert {"filter-q", "list", "next-case", "stage", "invert", "chip-0", "focus-0"} <= set(seen)
    assert max(len(list(run)) for name, run in itertools.groupby(seen) if name not in ("", "drawer", "SUMMARY")) <= 2


def test_a_link_to_a_case_opens_it_among_its_filters(opened: Callable[..., Opened], small: Path) -> None:
    page = opened(small, _place("case=s00001-83dcefb7", error="hit", focus="clala"))
    page.title("Case 2 of 2")
    assert page.rows() == [0, 1]
    page.tab.evaluate("location.hash = '#case=s00000-f4dbdf21?error=hit'")
    page.title("Case 1 of 2")
    page.tab.go_back()
    page.title("Case 2 of 2")
    page.tab.evaluate("location.hash = '#case=s00000-f4dbdf21?error=missed'")
    page.title("Case 1 not among the filtered cases")


def test_leafing_leaves_one_step_for_the_back_button(opened: Callable[..., Opened], sample: Path) -> None:
    """A reader who walked through forty cases wants the list back, not the fortieth case."""
    page = opened(sample, "#cases")
    page.rows()
    page.tab.keyboard.press("Enter")
    for _ in range(3):
        page.tab.keyboard.press("j")
    page.title("Case 4 of 120")
    page.tab.go_back()
    page.says("120 of 120 cases")


def test_an_unknown_case_is_said_in_words(opened: Callable[..., Opened], sample: Path) -> None:
    page = opened(sample, "#case=%3Cscript%3E")
    sync_api.expect(page.tab.get_by_role("alert")).to_contain_text('This run has no case "<script>".')


def test_a_script_in_a_report_stays_text(opened: Callable[..., Opened], sample: Path) -> None:
    """In the reference, in a report, in a model's name, in a failure: dialogs are looked at by the fixture."""
    page = opened(sample, "#cases")
    page.rows()
    page.tab.keyboard.press("Enter")
    page.title("Case 1 of 120")
    assert SCRIPT in page.tab.locator(".reference .text").inner_text()
    assert SCRIPT in page.tab.locator("#card-3 .text").inner_text()
    assert "</script><b>bold</b>" in page.tab.locator("#card-3 h2").inner_text()
    assert page.tab.locator("#view script, #view .text b:not(.sign), #view h2 b").count() == 0
    page.tab.keyboard.press("j")
    page.tab.keyboard.press("j")
    page.title("Case 3 of 120")
    assert f"ran out of memory {SCRIPT}" in page.tab.locator("#card-0 .failure").inner_text()
    assert page.tab.locator("script").count() == 1


def test_no_file_of_the_page_writes_html() -> None:
    for path in VIEWER.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|eval\(|new Function", path.read_text()), path.name


def test_no_two_files_of_the_page_share_a_name() -> None:
    """They stand in one function: the second of two functions of one name would silently take the place of the first."""
    names = [name for path in VIEWER.glob("*.js") for name in re.findall(r"^(?:async )?(?:function|const|let) (\w+)", path.read_text(), re.MULTILINE)]
    assert len(names) > 100
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_lesions_are_marked_in_words_and_not_by_colour_alone(opened: Callable[..., Opened], sample: Path) -> None:
    page = opened(sample, "#case=s00000-f4dbdf21")
    page.title("Case 1 of 120")
    marks = page.tab.locator("#card-0 .text mark")
    assert marks.evaluate_all("all => all.map(mark => [mark.className, mark.title, mark.querySelector('.sign').textContent.slice(-1)])") == [
        ["hit", "cardiomegaly: hit, the reference says it too", "✓"],
        ["hit", "pleural effusion, left: hit, the reference says it too", "✓"],
        ["invented", "pneumothorax, right: invented, the reference does not affirm it", "+"],
    ]
    wrong = page.tab.locator("#card-1 mark.wrong-side").last
    again = page.tab.locator("#card-1 mark.wrong-side").first  # a further place that says the same lesion
    assert again.evaluate("mark => mark.firstChild.textContent") == "Cardiac silhouette"
    assert wrong.get_attribute("title") == "pleural effusion, right: wrong side, the reference says left"
    assert "(pleural effusion, right: wrong side" in (wrong.text_content() or "")  # for who hears the page
    reference = page.tab.locator(".reference mark").evaluate_all("all => all.map(mark => mark.title)")
    assert reference == [
        "cardiomegaly: clala says it too",
        "pleural effusion, left: clala says it too",
        "pneumothorax is denied here, and clala affirms it",
    ]
    decorations = page.tab.locator(".mark-legend mark").evaluate_all("all => all.map(mark => getComputedStyle(mark).textDecorationStyle)")
    assert decorations == ["solid", "dashed", "wavy", "double"]


def test_marks_fall_on_their_words_after_signs_outside_the_first_plane(opened: Callable[..., Opened], sample: Path) -> None:
    """Offsets count UTF-16 units: an emoji before a lesion shifts nothing."""
    page = opened(sample, "#case=s00000-f4dbdf21")
    page.title("Case 1 of 120")
    assert page.tab.locator(".reference mark.invented").evaluate("mark => mark.firstChild.textContent") == "No pneumothorax"


def test_a_region_lights_its_box_and_the_sentences_it_went_into(opened: Callable[..., Opened], sample: Path) -> None:
    page = opened(sample, "#case=s00000-f4dbdf21")
    page.title("Case 1 of 120")
    numbers = "all => all.map(one => getComputedStyle(one, '::before').content)"
    assert page.tab.locator("#card-0 .sentence").evaluate_all(numbers) == ["none"] * 3
    page.tab.locator("#card-0 summary", has_text="Sentences by region").click()
    assert [words[1] for words in page.tab.locator("#card-0 .sentence").evaluate_all(numbers)] == ["1", "2", "3"]  # what "→ 2" speaks of
    page.tab.locator("#card-0 .region", has_text="left lung").hover()
    sentence = page.tab.locator("#card-0 .sentence.lit")
    assert "There is a small left pleural effusion" in (sentence.text_content() or "")
    lit = page.tab.locator(".boxes rect.lit")
    assert (lit.get_attribute("data-region"), lit.get_attribute("x")) == ("left lung", "286")  # the model's own box, not the true one at 280
    page.tab.locator("#card-0 .sentence").first.hover()
    assert page.tab.locator("#card-0 .region.lit .region-name").all_inner_texts() == ["cardiac silhouette"]
    assert "→ nowhere" in page.tab.locator("#card-0 .region", has_text="spine").inner_text()
    page.tab.keyboard.press("b")
    page.tab.locator(".boxes rect[data-region='left lung']").hover(position={"x": 8, "y": 8})
    assert page.tab.locator("#card-0 .region.lit .region-name").all_inner_texts() == ["left lung"]


def test_the_radiograph_zooms_pans_and_windows(opened: Callable[..., Opened], sample: Path) -> None:
    page = opened(sample, "#case=s00000-f4dbdf21")
    page.title("Case 1 of 120")
    picture = page.tab.locator(".picture")
    slope = page.tab.locator("#window-level feFuncR")
    page.tab.keyboard.press("+")
    assert "scale(1.25)" in (picture.get_attribute("style") or "")
    page.tab.locator("#stage").focus()
    before = picture.get_attribute("style")
    page.tab.keyboard.press("ArrowRight")  # with the focus there an arrow moves the radiograph, not the list
    assert picture.get_attribute("style") != before
    page.title("Case 1 of 120")
    page.tab.keyboard.press("0")
    assert "scale(1)" in (picture.get_attribute("style") or "")
    page.tab.locator("#stage").hover()
    page.tab.mouse.wheel(0, -400)
    sync_api.expect(picture).not_to_have_attribute("style", re.compile(r"scale\(1\)"))
    page.tab.keyboard.press("i")
    assert slope.get_attribute("slope") == "-1.0000"
    page.tab.keyboard.press("w")
    assert (slope.get_attribute("slope"), slope.get_attribute("intercept")) == ("1.0000", "0.0000")
    box = page.tab.locator("#stage").bounding_box()
    page.tab.mouse.move(box["x"] + 100, box["y"] + 100)
    page.tab.keyboard.down("Shift")
    page.tab.mouse.down()
    page.tab.mouse.move(box["x"] - 28, box["y"] + 100)
    page.tab.mouse.up()
    page.tab.keyboard.up("Shift")
    assert slope.get_attribute("slope") == "2.0000"  # 128 pixels to the left: half the window, twice the slope
    page.tab.keyboard.press("j")
    page.title("Case 2 of 120")
    assert slope.get_attribute("slope") == "2.0000"  # kept from case to case
    sync_api.expect(page.tab.locator(".no-image")).to_have_text("This image is not shown: the file is missing")


def test_black_stays_under_a_radiograph_in_both_themes(opened: Callable[..., Opened], sample: Path) -> None:
    grounds = set()
    for scheme in ("light", "dark"):
        page = opened(sample, "#case=s00000-f4dbdf21", color_scheme=scheme)
        page.title("Case 1 of 120")
        assert page.tab.locator("#stage").evaluate("stage => getComputedStyle(stage).backgroundColor") == "rgb(0, 0, 0)"
        grounds.add(page.tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2


def test_the_theme_is_switched_and_kept(opened: Callable[..., Opened], sample: Path) -> None:
    page = opened(sample, "#cases", color_scheme="light")
    page.rows()
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.tab.evaluate(ground)
    button = page.tab.get_by_role("button", name="Theme")
    button.click()
    assert page.tab.evaluate(ground) == light
    button.click()
    assert page.tab.evaluate(ground) == "rgb(20, 21, 24)"
    page.tab.reload()
    page.rows()
    assert page.tab.evaluate(ground) == "rgb(20, 21, 24)"


def _tokens(block: str) -> dict[str, tuple[float, float, float]]:
    found = re.findall(r"--([a-z-]+): #([0-9a-f]{6});", block)
    return {name: tuple(int(code[at : at + 2], 16) / 255 for at in (0, 2, 4)) for name, code in found}  # type: ignore[misc]


def _contrast(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """WCAG 2.2, relative luminance and contrast ratio."""

    def luminance(colour: tuple[float, float, float]) -> float:
        red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in colour)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    brighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def test_every_colour_of_text_is_readable_on_every_ground_of_both_themes() -> None:
    """WCAG AA: 4.5 to 1 for text, 3 to 1 for the edge of a control."""
    style = (VIEWER / "style.css").read_text()
    light, dark, automatic = (_tokens(block) for block in re.findall(r":root(?:\[data-theme=\w+\])? \{(.*?)\n\s*\}", style, re.DOTALL)[:3])
    assert dark == automatic
    for theme in (light, dark):
        assert len(theme) >= 20
        for ground in ("page", "sheet", "hover", "accent-wash", "quote-sheet"):
            for text in ("ink", "soft", "accent"):
                assert _contrast(theme[text], theme[ground]) >= 4.5, (text, ground)
        for kind in ("hit", "missed", "invented", "wrong-side"):
            for ground in ("page", "sheet", "hover", "accent-wash", "quote-sheet", f"{kind}-wash"):
                assert _contrast(theme[kind], theme[ground]) >= 4.5, (kind, ground)
            assert _contrast(theme["ink"], theme[f"{kind}-wash"]) >= 7
        assert _contrast(theme["quote"], theme["quote-sheet"]) >= 4.5
        assert _contrast(theme["edge"], theme["sheet"]) >= 3
    # nothing that is read fades what was measured above; what cannot be used may (1.4.3 excepts it)
    assert re.findall(r"([^{};/]+)\{[^{}]*[ {]opacity:", style) == ["\nbutton:disabled "]


def test_who_hears_the_page_gets_names_places_and_counts(opened: Callable[..., Opened], sample: Path) -> None:
    page = opened(sample, "#case=s00000-f4dbdf21")
    page.title("Case 1 of 120")
    tab = page.tab
    for role, name in [
        ("banner", None),
        ("main", None),
        ("navigation", "Views"),
        ("search", "Filters"),
        ("listbox", "Cases"),
        ("region", "Case"),
        ("article", "Case 1 of 120"),
    ]:
        assert tab.get_by_role(role, name=name, exact=True).count() == 1 if name else tab.get_by_role(role).count() == 1, (role, name)
    option = tab.locator("#list").get_by_role("option", selected=True)
    assert option.get_attribute("aria-setsize") == "120"
    assert option.get_attribute("aria-posinset") == "1"
    assert option.get_attribute("aria-label") == "s00000-f4dbdf21. " + option.locator(".row-view").inner_text() + ". 8 hit, 4 invented"
    assert tab.locator("#list").get_attribute("aria-activedescendant") == option.get_attribute("id")
    for name in ("Reference", "Lesions of this case", "Numbers of this case"):
        assert tab.get_by_role("heading", name=name, exact=True).count() == 1, name
    assert tab.get_by_role("region", name="Report of clala").get_by_role("heading", name=re.compile("^clala")).count() == 1
    assert tab.get_by_role("row", name="pleural effusion affirmed left hit left wrong side right missed hit no report").count() == 1
    unnamed = "all => all.filter(one => !(one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim())).map(one => one.outerHTML)"
    assert tab.locator("button, select, input, a").evaluate_all(unnamed) == []
    assert tab.locator("img:not([alt])").count() == 0


def test_the_page_of_a_run_shows_what_its_reports_say(opened: Callable[..., Opened], tmp_path: Path) -> None:
    """Written by the program itself: a side that is wrong, a lesion that is invented, a report that failed, and no image at all."""
    references = {
        "c1": "There is cardiomegaly. No pleural effusion.",
        "c2": "Small left pleural effusion. No pneumothorax.",
        "c3": f"{SCRIPT} Clear lungs.",
        "c4": "Moderate right pneumothorax.",
        "c5": "",
        "c6": " ",
    }
    ours = {"c1": references["c1"], "c2": "Small right pleural effusion.", "c3": "There is a left pneumothorax.", "c5": "", "c6": "Edema."}
    config = RunConfig((), ("lesions", "rouge_l"), "", strata=False, draws=20)
    evaluator.score_reports(references, {"ours": ours}, config, tmp_path / "run", failures={"ours": {"c4": "out of memory"}}, page="auto")
    page = opened(tmp_path / "run" / "index.html", "#cases")
    lefts = (("right", [0]), ("wrong-side", [1]), ("hit", [0]), ("invented", [2]), ("failed", [3]), ("unscored", [4, 5]), ("empty", [4]))
    for error, left in lefts:
        page.tab.goto((tmp_path / "run" / "index.html").as_uri() + _place(error=error))
        assert page.rows(left) == left, error
    for case, words in (("c1", "1 hit"), ("c2", "1 wrong side"), ("c3", "1 invented"), ("c4", "no report")):
        page.tab.goto((tmp_path / "run" / "index.html").as_uri() + f"#case={case}")
        page.says(f"Case {case[1]} of 6: {words} by ours")
    assert "out of memory" in page.tab.locator("#card-0 .failure").inner_text()
    assert page.tab.locator(".stage.absent").count() == 1
    page.tab.goto((tmp_path / "run" / "index.html").as_uri() + "#case=c6")  # what nobody compared is not called clean
    page.says("Case 6 of 6: not scored: the reference is empty")
    assert page.tab.locator("#card-0 .outcome").inner_text() == "not scored: the reference is empty"
    assert page.tab.locator(".lesion-table, .after.lesions").count() == 0
    assert page.tab.locator(".row[data-place='5'] .row-counts").inner_text() == "1 not scored"
    assert page.tab.locator("#list").get_by_role("option", name="c6. 1 not scored", exact=True).count() == 1
    page.tab.goto((tmp_path / "run" / "index.html").as_uri() + "#overview")
    sync_api.expect(page.tab.locator("#empty-references")).to_have_text("2 references have no text: no number is of them.")


def test_models_can_be_put_away_and_the_link_says_so(opened: Callable[..., Opened], sample: Path) -> None:
    page = opened(sample, "#case=s00000-f4dbdf21")
    page.title("Case 1 of 120")
    page.tab.get_by_role("group", name="Models shown").get_by_role("button", name="retrieval").click()
    sync_api.expect(page.tab.locator(".card.report")).to_have_count(4)
    assert "hide=1" in page.tab.evaluate("location.hash")
    sync_api.expect(page.tab.locator("#chip-1")).to_be_focused()
    page.tab.get_by_role("button", name="Only in focus").click()
    sync_api.expect(page.tab.locator(".card.report")).to_have_count(1)
    page.tab.get_by_role("button", name="All", exact=True).click()
    sync_api.expect(page.tab.locator(".card.report")).to_have_count(5)
    sync_api.expect(page.tab.locator("#card-4 .failure")).to_have_text("No reports. out of memory")


def test_a_case_is_printed_without_its_controls(opened: Callable[..., Opened], sample: Path) -> None:
    page = opened(sample, "#case=s00000-f4dbdf21", color_scheme="dark")
    page.title("Case 1 of 120")
    page.tab.emulate_media(media="print")
    for gone in (".top", ".finder", ".chips", ".stage-tools", "#print-case"):
        sync_api.expect(page.tab.locator(gone)).to_be_hidden()
    for kept in ("#case-title", ".reference", "#card-0", ".after.lesions", "#stage"):
        sync_api.expect(page.tab.locator(kept)).to_be_visible()
    assert page.tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.tab.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    left_out = page.tab.locator("#left-out").inner_text()
    assert left_out == "Closed on the page, and not printed: Sentences by region, Numbers of this case, Judge (rules), Details."
    page.tab.evaluate("location.hash = '#cases'")
    sync_api.expect(page.tab.locator(".summary")).to_be_visible()  # the list of cases is no blank sheet
    page.tab.go_back()
    page.title("Case 1 of 120")
    pages = len(re.findall(rb"/Type\s*/Page\b", page.tab.pdf(format="A4")))
    assert pages <= 2


def test_a_small_window_shows_one_thing_at_a_time(opened: Callable[..., Opened], sample: Path) -> None:
    page = opened(sample, "#cases", viewport={"width": 400, "height": 800})
    page.rows()
    sync_api.expect(page.tab.locator("#desk")).to_be_hidden()
    page.tab.locator(".row").first.click()
    page.title("Case 1 of 120")
    sync_api.expect(page.tab.locator("#list")).to_be_hidden()
    assert page.tab.evaluate("document.documentElement.scrollWidth <= innerWidth && document.querySelector('#desk').scrollWidth <= innerWidth")
    page.tab.get_by_role("button", name="‹ List").click()
    sync_api.expect(page.tab.locator("#list")).to_be_visible()


def test_a_part_that_is_missing_or_of_another_format_is_said_with_what_to_do(opened: Callable[..., Opened], tmp_path: Path) -> None:
    page_file = write_sample(tmp_path, cases=4, models=["clala"])
    run = tmp_path / "page" / "run.js"
    (tmp_path / "page" / "block-0.js").unlink()
    page = opened(page_file, "#case=s00000-f4dbdf21", may_complain=True)
    sync_api.expect(page.tab.get_by_role("alert")).to_contain_text("page/block-0.js could not be read")
    sync_api.expect(page.tab.get_by_role("alert")).to_contain_text("python -m benchmark view RUN --again")
    run.write_text(run.read_text().replace('"format": 1', '"format": 9', 1))
    page.tab.reload()
    sync_api.expect(page.tab.get_by_role("alert")).to_contain_text("page/run.js is of format 9; this page reads format 1")
    run.write_text("CLALA.part(")
    page.tab.reload()
    sync_api.expect(page.tab.get_by_role("alert")).to_contain_text('it does not hold the part "run"')


def test_a_full_split_of_ten_models_opens_at_once(opened: Callable[..., Opened], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """31,255 cases: columns are read, texts are not; rows exist where they are seen. The times are printed, the limit is only against a hang."""
    page_file = write_sample(tmp_path, cases=CASES, models=[f"model {number}" for number in range(MODELS)], blocks=1)
    begun = time.perf_counter()
    page = opened(page_file, "#cases")
    page.tab.locator(".row").first.wait_for(timeout=60_000)
    seconds = time.perf_counter() - begun
    parts = sorted(Path(url).name for url in page.requests if "/page/" in url)
    assert parts == sorted(["run.js", "cases.js", *(f"model-{place}.js" for place in range(MODELS))])
    assert page.tab.locator(".row").count() < 60
    page.tab.locator("#list").evaluate("list => (list.scrollTop = list.scrollHeight)")
    page.tab.locator(f".row[data-place='{CASES - 1}']").wait_for()
    page.tab.goto(page_file.as_uri() + _place(error="any", lesion="fracture", sort="rouge_l.f1", q="s0"))
    sync_api.expect(page.tab.locator(".row-key").first).to_have_text(re.compile(r"^0\."))
    filtered = page.tab.locator(".finder").get_attribute("data-milliseconds")
    assert float(filtered or "inf") < 5_000
    page.tab.goto(page_file.as_uri() + "#case=s00000-f4dbdf21")
    sync_api.expect(page.tab.locator(".card.report")).to_have_count(MODELS)
    blocks = [url for url in page.requests if "block-" in url]
    assert len(blocks) == 1
    with capsys.disabled():
        print(f"\n{CASES:,} cases x {MODELS} models: open in {seconds:.2f} s, filtered and sorted in {filtered} ms")
