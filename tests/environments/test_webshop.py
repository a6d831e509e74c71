"""WebShop: what leads where, what a purchase earns, and which goals there are."""

import json
import random
import time
from itertools import permutations
from multiprocessing import get_context

import pytest

pytest.importorskip("bm25s")
pytest.importorskip("thefuzz")

from htpo.environments import EnvironmentWorkers
from htpo.environments.webshop import environment, shop
from htpo.environments.webshop.environment import WebShop
from htpo.environments.webshop.goals import NO_LIMIT, human_goals, synthetic_goals
from htpo.environments.webshop.products import read_products, title_words
from htpo.environments.webshop.reward import plain_colour, reward, type_factor
from htpo.errors import UserError


@pytest.fixture(autouse=True)
def nothing_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HTPO_CACHE", str(tmp_path / "cache"))
    environment._shop.cache_clear()


def item(number: int, **changed) -> dict:
    """A product as `items_shuffle.json` holds it."""
    return {
        "asin": f"B{number:09}",
        "name": f"Plain Mug number {number}",
        "full_description": f"A mug, the {number}th.",
        "small_description": ["Made of clay", "Holds tea"],
        "pricing": "$12.50",
        "customization_options": {
            "Color": [{"value": "Sky Blue"}, {"value": "red/white"}],
            "size": [{"value": "Large"}],
        },
        "category": "kitchen",
        "query": "Mugs ",
        "product_category": "Home \u203a Kitchen \u203a Mugs",
        **changed,
    }


@pytest.fixture
def data(tmp_path):
    """A folder with WebShop's files, of fourteen products."""
    folder = tmp_path / "data"
    folder.mkdir()
    items = [
        item(1),
        item(2, pricing="$10.00$20.00", customization_options=None),
        item(
            3,
            name="Copper Garden Hose",
            full_description="For water.",
            query="hoses",
            product_category="Garden \u203a Hoses",
            pricing=None,
        ),
        *(item(number) for number in range(4, 14)),
        item(1, name="the same again"),
        item(99, asin="much too long an asin"),
    ]
    told = {item["asin"]: {"attributes": ["dishwasher safe", "made of clay"]} for item in items}
    told["B000000001"] |= {"instruction": "Find me a mug", "instruction_attributes": ["dishwasher safe"]}
    (folder / "items_shuffle.json").write_text(json.dumps(items))
    (folder / "items_ins_v2.json").write_text(json.dumps(told))
    said = {"instruction": "i want a hose.", "instruction_attributes": ["made of clay"], "instruction_options": ["red"]}
    (folder / "items_human_ins.json").write_text(
        json.dumps({"B000000003": [said, {**said, "instruction_attributes": []}]})
    )
    return folder


def test_the_original_files_are_read_as_the_original_reads_them(data):
    products = list(read_products(data))
    assert [product["asin"] for product in products] == [f"B{number:09}" for number in range(1, 14)]
    first, ranged, hose, *_ = products
    assert first["options"] == {"color": ["sky blue", "red | white"], "size": ["large"]}
    assert (first["price"], first["price_text"], first["query"]) == (12.5, "$12.5", "mugs")
    assert 10 <= ranged["price"] <= 20
    assert (ranged["price_text"], ranged["options"]) == ("$10.0 to $20.0", {})
    assert (hose["price"], hose["price_text"]) == (100.0, "$100.0")
    assert first["title_nouns"] == ["plain", "mug", "number"]


def test_options_have_single_spaces_as_actions_have(data):
    """Else no policy could choose them: what it writes is brought to one line, with single spaces."""
    values = [{"value": value} for value in ("wine\xa0red", "sky  blue")]
    items = [item(1, customization_options={"Colour  of mug": values})]
    (data / "items_shuffle.json").write_text(json.dumps(items))
    (product,) = read_products(data)
    assert product["options"] == {"colour of mug": ["wine red", "sky blue"]}


def test_there_is_a_goal_for_each_combination_and_for_each_instruction_of_people(data):
    products = list(read_products(data))
    goals = synthetic_goals(products)
    assert sorted(goal["options"] for goal in goals) == [["red | white", "large"], ["sky blue", "large"]]
    assert goals[0]["text"].startswith("Find me a mug with color: ")
    assert f"lower than {goals[0]['price_limit']:.2f} dollars" in goals[0]["text"]
    assert 20 <= goals[0]["price_limit"] <= 60
    (goal,) = human_goals(products)
    assert (goal["product"], goal["options"], goal["text"][:14]) == (2, ["red"], "i want a hose,")
    assert synthetic_goals(products) == goals
    dear = {**products[0], "price": 985.0}
    assert synthetic_goals([dear])[0]["price_limit"] == NO_LIMIT


def shown(shop, *actions):
    """The last observation of one goal."""
    seen = shop.reset(shop.rows("test")[0], 0)
    for action in actions:
        seen = shop.step(action)
    return seen


FOUND, PRODUCT = "search[plain mug 1th]", "click[b000000001]"


def test_pages_lead_where_the_original_leads(data):
    shop = WebShop(str(data))
    assert shown(shop).actions == ("search[<keywords>]",)
    results = shown(shop, FOUND)
    assert "Page 1 (Total results: 12)" in results.text
    assert results.actions[:3] == ("click[back to search]", "click[next >]", PRODUCT)
    assert len(results.actions) == 12
    second = shown(shop, FOUND, "click[next >]")
    assert second.actions[:2] == ("click[back to search]", "click[< prev]")
    assert len(second.actions) == 4
    assert shown(shop, FOUND, "click[next >]", "click[< prev]") == results
    product = shown(shop, FOUND, PRODUCT)
    assert product.actions[2:] == tuple(
        f"click[{button}]"
        for button in ("sky blue", "red | white", "large", "description", "features", "reviews", "buy now")
    )
    chosen = shown(shop, FOUND, PRODUCT, "click[large]")
    assert "You have clicked large." in chosen.text
    assert shown(shop, FOUND, PRODUCT, "click[large]", "click[features]", "click[< prev]") == chosen
    assert shown(shop, FOUND, PRODUCT, "click[large]", "click[< prev]") == results
    assert shown(shop, FOUND, PRODUCT, "click[large]", "click[< prev]", PRODUCT) == product  # nothing chosen any more
    assert shown(shop, FOUND, PRODUCT, "click[back to search]") == shown(shop)


@pytest.mark.parametrize(
    ("page", "says"), [("description", "A mug, the 1th."), ("features", "Holds tea"), ("reviews", "No Reviews")]
)
def test_a_product_says_more_on_other_pages(data, page, says):
    seen = shown(WebShop(str(data)), FOUND, PRODUCT, f"click[{page}]")
    assert seen.text.split(" [SEP] ")[-1] == says
    assert seen.actions == ("click[back to search]", "click[< prev]")


@pytest.mark.parametrize("action", ["", "buy now", "click[]", "click[buy now]", "search[]", "look[mug]", None, 7])
def test_what_is_no_action_is_invalid_and_changes_nothing(data, action):
    shop = WebShop(str(data))
    before, seen = shown(shop, FOUND), shown(shop, FOUND, action)
    assert (seen.invalid, seen.actions, seen.done) == (True, before.actions, False)


@pytest.mark.parametrize("keywords", ["xyzzy", "the", "]]]", "\ud800", "mug " * 5000])
def test_any_keywords_can_be_searched_for(data, keywords):
    seen = shown(WebShop(str(data)), f"search[{keywords}]")
    assert not seen.invalid
    assert ("Total results: 12" if "mug" in keywords else "Total results: 0") in seen.text


def test_a_purchase_ends_the_episode_with_its_reward(data):
    shop = WebShop(str(data))
    row = shop.rows("test")[0]
    *before, last = shop.walkthrough(row)
    shop.reset(row, 0)
    assert not any(shop.step(action).done for action in before)
    seen = shop.step(last)
    assert (seen.done, seen.success, seen.score, seen.actions) == (True, True, 1.0, ())
    without = shown(shop, FOUND, PRODUCT, "click[large]", "click[buy now]")
    assert (without.done, without.success, without.score) == (True, False, 0.75)


def test_the_reward_counts_attributes_options_and_price_times_the_type(data):
    mug, other, hose, *_ = read_products(data)
    goal = {"attributes": ["dishwasher safe", "gold rim"], "options": ["sky blue", "large"], "price_limit": 20.0}
    assert reward(mug, ["blue", "large"], goal, mug) == 4 / 5  # a colour is a colour
    assert reward(mug, ["large"], goal, mug) == 3 / 5
    assert reward(mug, ["large"], {**goal, "price_limit": 10.0}, mug) == 2 / 5
    assert reward(mug, ["large"], {**goal, "attributes": ["holds tea"]}, mug) == 3 / 4  # it is in the features
    assert reward(hose, [], goal, mug) == 0  # no noun in common
    assert type_factor(other, mug) == 1
    nouns = {"query": "x", "product_category": "y"}
    assert type_factor({**mug, **nouns, "title_nouns": ["a"]}, {**mug, "title_nouns": list("abcde")}) == 0.5
    assert type_factor({**mug, **nouns, "title_nouns": ["a"]}, {**mug, "title_nouns": list("abcdefghijkl")}) == 0.1
    assert type_factor(mug, {**mug, "title_nouns": []}) == 1
    assert [plain_colour(text) for text in ("violet lavender", "webshop", "")] == ["lavender", "webshop", ""]


def test_words_of_a_title_do_for_its_nouns_where_there_are_none(shared_data):
    products = list(read_products(shared_data / "agents" / "webshop"))
    by_words = [{**product, "title_nouns": title_words(product["title"])} for product in products]
    queries: dict[str, list[int]] = {}
    for place, product in enumerate(products):
        queries.setdefault(product["query"], []).append(place)
    rng = random.Random(0)
    pairs = [rng.sample(range(len(products)), 2) for _ in range(4000)]
    alike = [pair for places in queries.values() for pair in permutations(places, 2)]

    def same(pairs):
        factors = [[type_factor(each[one], each[other]) for one, other in pairs] for each in (products, by_words)]
        return sum(one == other for one, other in zip(*factors)) / len(pairs)

    assert same(pairs) == pytest.approx(0.97, abs=0.01)
    assert same(alike) == pytest.approx(0.92, abs=0.005)


def test_missing_and_damaged_files_are_said_in_a_line(data, monkeypatch):
    monkeypatch.delenv("WEBSHOP_DATA", raising=False)
    with pytest.raises(UserError, match="name it in WEBSHOP_DATA"):
        WebShop()
    with pytest.raises(UserError, match="has 2 goals, 0 of them in train"):
        WebShop(str(data)).rows("train")
    environment._shop.cache_clear()
    (data / "items_shuffle.json").write_text(json.dumps([{"asin": "B000000001"}]))
    with pytest.raises(UserError, match=r"items_shuffle.json: product 1 is damaged \(KeyError: 'small_description'\)"):
        WebShop(str(data))
    (data / "items_ins_v2.json").write_text("{")
    with pytest.raises(UserError, match=r"items_ins_v2.json: cannot be read"):
        WebShop(str(data))
    (data / "items_ins_v2.json").unlink()
    with pytest.raises(UserError, match="no products of WebShop in"):
        WebShop(str(data))


def test_files_that_change_make_another_shop(data):
    assert len(WebShop(str(data))._goals) == 2
    told = json.loads((data / "items_ins_v2.json").read_text())
    told["B000000002"] |= {"instruction": "Find me another", "instruction_attributes": ["made of clay"]}
    (data / "items_ins_v2.json").write_text(json.dumps(told))
    environment._shop.cache_clear()
    assert len(WebShop(str(data))._goals) == 3


def test_processes_that_come_at_the_same_time_make_the_shop_once(data, tmp_path, monkeypatch):
    log, really_make = tmp_path / "log", shop._make

    def make(*given):
        with log.open("a") as file:
            file.write("made\n")
        time.sleep(0.3)  # the others come meanwhile
        really_make(*given)

    monkeypatch.setattr(shop, "_make", make)
    processes = [get_context("fork").Process(target=shop.Shop.of, args=(data,)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    assert log.read_text() == "made\n"


def test_the_shop_of_the_shared_data_sells_what_is_asked_for(shared_data):
    options = {"data": str(shared_data / "agents" / "webshop")}
    with EnvironmentWorkers("webshop", options, workers=2) as worlds:
        rows = worlds.rows("test")[:200]
        worlds.try_on(rows[0])
        episodes = worlds.reset(rows, [0] * len(rows))
        walkthroughs = [worlds.walkthrough(row) for row in rows]
        assert not any("click[next >]" in actions for actions in walkthroughs)  # it is on the first page
        while ahead := [number for number, episode in enumerate(episodes) if not episode.done]:
            acted = [walkthroughs[number][len(episodes[number].actions)] for number in ahead]
            worlds.step([episodes[number] for number in ahead], acted)
        assert all(episode.success and not episode.invalid_actions for episode in episodes)
        assert len(worlds.rows("train")) == 5410  # of 6,910 goals
    with EnvironmentWorkers("webshop", {**options, "human": True}, workers=1) as worlds:
        assert len(worlds.rows("test")) == 13
