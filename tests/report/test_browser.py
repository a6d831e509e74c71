"""The page in a real browser: headless Chromium. Skipped without it (Debian: chromium, chromium-driver)."""

import math
import shutil

import pyarrow.parquet as pq
import pytest
from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait

from htpo.analysis.logic_words import read_logic_words
from htpo.analysis.subject import find_subject
from htpo.analysis.token_analysis import TokenAnalysis
from htpo.analysis.tokens import read_runs
from htpo.report import write_report
from htpo.report.responses_page import responses_page
from htpo.runs import RunRecord
from tests.analysis.finished_evaluation import write_evaluation
from tests.analysis.finished_run import write_study
from tests.report.runs import HOSTILE, make_hostile, make_played, write_finished, write_study_results

QUIET = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,900"),
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    chromium, driver = (shutil.which(name) for name in ("chromium", "chromedriver"))
    if not chromium or not driver:
        pytest.skip("no chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (*QUIET, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options, webdriver.ChromeService(driver)) as started:
        yield started


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    runs = [write_finished(tmp_path_factory.mktemp("browser") / "first")]
    return write_report(find_subject([run.path for run in runs]), runs[0].path / "report.html")


@pytest.fixture
def page(browser, report):
    """The report, freshly opened; nothing may be said on its console."""
    browser.get(report.as_uri())
    yield browser
    assert [entry["message"] for entry in browser.get_log("browser")] == []


@pytest.mark.parametrize("kind", ["a run without rollouts", "several runs", "a study"])
def test_every_kind_of_page_opens_without_a_word_on_the_console(browser, tmp_path, kind):
    runs = [write_finished(tmp_path / name, objective=name, updates=6) for name in ("htpo", "dapo")]
    paths = {"a run without rollouts": [runs[0].path], "several runs": [run.path for run in runs]}
    if kind == "a run without rollouts":
        shutil.rmtree(runs[0].path / "rollouts")
    if kind == "a study":
        paths[kind] = [write_study(tmp_path / "study", {"dapo": None}, seeds=2)]
        write_study_results(paths[kind][0])
    browser.get(write_report(find_subject(paths[kind]), tmp_path / "out.html").as_uri())
    assert browser.get_log("browser") == []
    theme = browser.find_element(By.ID, "theme")
    theme.click()  # the script has run to its end
    assert theme.text == "Theme: light"
    browser.execute_script("localStorage.clear()")
    assert len(browser.find_elements(By.CSS_SELECTOR, ".rollout")) == (0 if "without" in kind else 10)


def choose(page, name, text):
    Select(page.find_element(By.ID, f"filter-{name}")).select_by_visible_text(text)


def rollouts(page):
    return page.find_elements(By.CSS_SELECTOR, ".rollout")


def found(page):
    return int(page.find_element(By.ID, "found").text.split()[0])


def stored(page):
    return page.execute_script("return JSON.parse(document.getElementById('rollouts-data').textContent).rollouts")


def test_it_opens_whole_and_asks_the_network_for_nothing(page):
    assert page.title == "first - htpo report"
    images = "return [...document.querySelectorAll('.plot img')].map((i) => i.complete && i.naturalWidth > 0)"
    assert page.execute_script(images) == [True] * 7
    asked = (
        "return performance.getEntriesByType('resource').map((one) => one.name).filter((n) => !n.startsWith('data:'))"
    )
    assert page.execute_script(asked) == []


def test_filters_leave_what_fits_and_say_how_many(page):
    data = stored(page)
    assert found(page) == len(data)
    choose(page, "answer", "right")
    right = [one for one in data if one["correct"]]
    assert found(page) == len(right)
    assert all("✓ right" in one.text for one in rollouts(page))
    choose(page, "update", "6")
    assert found(page) == sum(one["update"] == 6 for one in right)
    assert all("update 6 ·" in one.text for one in rollouts(page))
    choose(page, "group", "G8 easy wrong high")
    assert found(page) == 0
    assert "No rollout fits" in page.find_element(By.ID, "list").text
    choose(page, "answer", "right and wrong")
    choose(page, "update", "all updates")
    assert found(page) == sum(8 in one["group"] for one in data)
    for token in page.find_elements(By.CSS_SELECTOR, ".token")[:40]:
        assert ("other" in token.get_attribute("class")) == (token.text.split("\n")[-1] != "G8")
    page.find_element(By.ID, "reset").click()
    assert found(page) == len(data)
    page.find_element(By.ID, "filter-text").send_keys("PROBLEM 3")
    assert found(page) == sum(one["prompt"] == "problem 3" for one in data)


def test_each_rollout_says_how_it_was_judged(page):
    for one, node in zip(stored(page), rollouts(page)):
        lines = [line.text for line in node.find_elements(By.CSS_SELECTOR, ".judged dt, .judged dd")]
        assert lines == [text for line in one["judged"] for text in line]
        assert lines[:2] == ["right answer", str(int(one["prompt"].removeprefix("problem ")) + 10)]
    page.find_element(By.ID, "filter-text").send_keys("could be READ")
    unread = [one for one in stored(page) if one["judged"][-1][0] == "failure"]
    assert found(page) == len(unread) > 0
    assert unread[0]["judged"][-1][1] == "unparsable: it held no answer that could be read"


def test_pages_turn(page):
    first = rollouts(page)[0].text
    earlier, later = (page.find_element(By.ID, name) for name in ("earlier", "later"))
    assert not earlier.is_enabled()
    later.click()
    assert rollouts(page)[0].text != first
    assert "page 2 of" in page.find_element(By.ID, "found").text
    earlier.click()
    assert rollouts(page)[0].text == first


def test_tokens_are_shaded_by_entropy_or_by_their_pull(page):
    rollout = stored(page)[0]
    shades = "return [...document.querySelector('.tokens').querySelectorAll('b')].map((b) => b.style.background)"
    by_entropy = page.execute_script(shades)
    assert len(by_entropy) == len(rollout["text"])
    order = sorted(range(len(by_entropy)), key=lambda i: rollout["entropy"][i])
    assert by_entropy[order[0]] != by_entropy[order[-1]]
    choose(page, "shading", "w A: how it is pulled")
    by_pull = page.execute_script(shades)
    assert len(set(by_pull)) == 1  # every token of an answer has its advantage, and weight 1
    assert by_pull[0] not in by_entropy


def test_episodes_are_shown_turn_by_turn(browser, tmp_path):
    run = make_played(write_finished(tmp_path / "played"))
    browser.get(write_report(find_subject([run.path]), tmp_path / "out.html").as_uri())
    assert browser.get_log("browser") == []
    first, node = stored(browser)[0], rollouts(browser)[0]
    headings = [one.text for one in node.find_elements(By.TAG_NAME, "h4")]
    assert headings == [
        "Turn 1 · open fridge 1",
        "Turn 2 · eat fridge 1 invalid",
        "Turn 3 · no action found invalid",
    ]
    counts = [
        len(box.find_elements(By.CSS_SELECTOR, ".token")) for box in node.find_elements(By.CSS_SELECTOR, ".tokens")
    ]
    assert counts == [2, 3, first["length"] - 5]
    texts = [one.text for one in node.find_elements(By.TAG_NAME, "pre")]
    assert texts == [first["prompt"], "it is empty.", "nothing happens."]
    assert ("✓ success" if first["correct"] else "✗ no success") in node.text
    assert "answer found" not in node.text
    assert (
        f"clean: {'success' if first['correct'] else 'no success'}, score 0.25, turns 3, invalid actions 2" in node.text
    )
    choose(browser, "answer", "no success")
    assert 0 < found(browser) == sum(not one["correct"] for one in stored(browser))
    browser.find_element(By.ID, "reset").click()
    browser.find_element(By.ID, "filter-text").send_keys("EAT fridge")
    assert found(browser) == len(stored(browser))


def test_samples_of_an_evaluation_are_texts_and_filtered_like_rollouts(browser, tmp_path):
    evaluation = write_evaluation(tmp_path / "sums", {"sums": 6, "aime": 3}, samples=2)
    browser.get(write_report(find_subject([evaluation.path]), tmp_path / "out.html").as_uri())
    assert browser.get_log("browser") == []
    assert found(browser) == len(stored(browser)) == 18
    node = rollouts(browser)[1]
    assert node.find_element(By.CSS_SELECTOR, "pre.written").text == stored(browser)[1]["written"][0]
    assert not browser.find_elements(By.CSS_SELECTOR, ".token")
    shown = {
        name: browser.find_element(By.ID, f"filter-{name}").is_displayed() for name in ("run", "update", "shading")
    }
    assert shown == {"run": True, "update": False, "shading": False}
    choose(browser, "run", "aime")
    choose(browser, "answer", "right")
    assert found(browser) == sum(one["run"] == "aime" and one["correct"] for one in stored(browser)) > 0
    browser.find_element(By.ID, "reset").click()
    browser.find_element(By.ID, "filter-text").send_keys("twenty ONE")
    assert found(browser) == sum("twenty one" in one["written"][0] for one in stored(browser)) > 0


def test_everything_can_be_reached_with_the_keyboard(page):
    plot = page.find_element(By.CSS_SELECTOR, ".plot")
    plot.send_keys(Keys.ENTER)
    viewer = page.find_element(By.ID, "viewer")
    assert viewer.is_displayed()
    transform = "return document.querySelector('#viewer img').style.transform"
    ActionChains(page).send_keys("++").perform()
    assert "scale(1.69)" in page.execute_script(transform)
    before = page.execute_script(transform)
    ActionChains(page).send_keys(Keys.ARROW_RIGHT).perform()
    assert page.execute_script(transform) != before
    ActionChains(page).send_keys("0").perform()
    assert "scale(1)" in page.execute_script(transform)
    ActionChains(page).send_keys(Keys.ESCAPE).perform()
    WebDriverWait(page, 5).until(lambda _: not viewer.is_displayed())
    assert page.switch_to.active_element == plot

    tokens = page.find_elements(By.CSS_SELECTOR, ".rollout:first-child .token")
    assert [token.get_attribute("tabindex") for token in tokens[:3]] == ["0", "-1", "-1"]
    page.execute_script("arguments[0].focus()", tokens[0])
    said = page.find_element(By.ID, "said")
    ActionChains(page).send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT).perform()
    assert said.text.startswith("token 3: ")
    assert "nats" in said.text
    ActionChains(page).send_keys(Keys.END).perform()
    assert said.text.startswith(f"token {len(tokens)}: ")


def test_light_and_dark_follow_the_system_and_the_button(page):
    background = "return getComputedStyle(document.body).backgroundColor"
    button = page.find_element(By.ID, "theme")

    def system(scheme):
        features = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", features)

    system("light")
    light = page.execute_script(background)
    system("dark")
    dark = page.execute_script(background)
    assert light != dark
    button.click()
    assert (button.text, page.execute_script(background)) == ("Theme: light", light)
    page.refresh()
    assert page.execute_script(background) == light
    button = page.find_element(By.ID, "theme")
    button.click()
    system("light")
    assert (button.text, page.execute_script(background)) == ("Theme: dark", dark)
    inverted = "return getComputedStyle(document.querySelector('.plot img')).filter"
    assert "invert" in page.execute_script(inverted)
    button.click()
    assert page.execute_script(background) == light


def test_a_narrow_screen_scrolls_down_only(page):
    page.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    wide = page.execute_script("return document.scrollingElement.scrollWidth")
    page.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert wide <= 390


def test_hostile_text_shows_as_text_and_runs_nothing(browser, tmp_path):
    run = make_hostile(write_finished(tmp_path / "hostile", updates=6))
    report = write_report(find_subject([run.path]), tmp_path / "out.html")
    browser.get(report.as_uri())
    assert browser.execute_script("return window.hacked") is None
    prompt = browser.find_element(By.CSS_SELECTOR, ".rollout pre")
    assert prompt.get_property("textContent") == HOSTILE
    judged = browser.find_elements(By.CSS_SELECTOR, ".rollout:first-child .judged dd")
    assert [one.get_property("textContent") for one in judged] == [HOSTILE] * 3
    token = browser.find_element(By.CSS_SELECTOR, ".token b")
    assert "<img src=x onerror='window.hacked = 2'>" in token.get_property("textContent")
    assert "{{ 7 * 7 }}" in browser.find_element(By.ID, "run").text
    assert browser.get_log("browser") == []


def test_numbers_that_are_none_break_nothing(browser, tmp_path):
    run = write_finished(tmp_path / "broken", updates=1)
    (file,) = (run.path / "rollouts").glob("*.parquet")
    rows = pq.read_table(file).to_pydict()
    rows.pop("step")
    for name, value in (("entropy", math.nan), ("log_prob", -math.inf), ("weight", math.inf)):
        rows[name] = [[value, *values[1:]] for values in rows[name]]
    run.write_rollouts(1, rows)
    browser.get(write_report(find_subject([run.path]), tmp_path / "out.html").as_uri())
    assert len(browser.find_elements(By.CSS_SELECTOR, ".rollout")) == 10
    assert "entropy is not a number" in browser.find_element(By.CSS_SELECTOR, ".token").get_attribute("aria-label")
    assert browser.get_log("browser") == []


def test_what_is_injected_all_the_same_is_not_run(browser, report, tmp_path):
    inject = "<img src=x onerror='window.hacked = 1'><script>window.hacked = 2</script>"
    injected = tmp_path / "injected.html"
    injected.write_text(report.read_text().replace("<main>", f"<main>{inject}"))
    browser.get(injected.as_uri())
    assert browser.execute_script("return window.hacked") is None
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))


def test_the_page_of_responses_is_as_safe_and_follows_the_keyboard(browser, tmp_path):
    run = make_hostile(write_finished(tmp_path / "hostile", updates=6))
    page = tmp_path / "responses.html"
    page.write_text(responses_page(TokenAnalysis(read_runs([RunRecord.read(run)]), read_logic_words(), 5), "hostile"))
    browser.get(page.as_uri())
    assert browser.get_log("browser") == []
    assert browser.execute_script("return window.hacked") is None
    assert browser.find_element(By.CSS_SELECTOR, ".token b").get_property("textContent").startswith("</script>")
    judged = browser.find_elements(By.CSS_SELECTOR, "section:first-of-type .judged dd")
    assert [one.get_property("textContent") for one in judged] == [HOSTILE] * 3
    browser.execute_script("document.querySelector('.token').focus()")
    ActionChains(browser).send_keys(Keys.ARROW_RIGHT).perform()
    assert browser.find_element(By.ID, "said").text.startswith("token 2: ")
    page.write_text(page.read_text().replace("<main>", "<main><script>window.hacked = 1</script>"))
    browser.get(page.as_uri())
    assert browser.execute_script("return window.hacked") is None
    assert any("Content Security Policy" in entry["message"] for entry in browser.get_log("browser"))
