"""A customer's way through the shop: which page is shown, what can be clicked, and where that leads."""

import re
from dataclasses import dataclass, field

from htpo.environments.webshop.goals import Goal
from htpo.environments.webshop.products import Product
from htpo.environments.webshop.shop import Shop

PAGE = 10  # products
KEYWORDS = "search[<keywords>]"
BACK, PREVIOUS, NEXT, BUY = "Back to Search", "< Prev", "Next >", "Buy Now"
SUB_PAGES = ("Description", "Features", "Reviews")
SEPARATOR = " [SEP] "
ACTION = re.compile(r"(search|click)\[(.+)\]", re.DOTALL)


@dataclass
class Session:
    """Where a customer is.

    Attributes:
        page: "search", "results", "product", one of `SUB_PAGES`, or "bought".
        found: places of the products that the last search found, of which `number` is the page shown, from 1.
        place: of the product that is looked at.
        options: chosen so far, by name.
    """

    shop: Shop
    goal: Goal
    page: str = "search"
    found: tuple[int, ...] = ()
    number: int = 1
    place: int | None = None
    options: dict[str, str] = field(default_factory=dict)

    @property
    def product(self) -> Product:
        """The one that is looked at."""
        assert self.place is not None
        return self.shop.product(self.place)

    def shown(self) -> list[int]:
        """Places of the products on the page of results."""
        return list(self.found[(self.number - 1) * PAGE : self.number * PAGE])

    def buttons(self) -> list[str]:
        """What can be clicked, worded and ordered as on the page."""
        if self.page in ("search", "bought"):
            return []
        if self.page == "results":
            turns = [PREVIOUS] * (self.number > 1) + [NEXT] * (self.number * PAGE < len(self.found))
            return [BACK, *turns, *(self.shop.product(place)["asin"] for place in self.shown())]
        if self.page != "product":
            return [BACK, PREVIOUS]
        options = [value for values in self.product["options"].values() for value in values]
        return [BACK, PREVIOUS, *options, *SUB_PAGES, BUY]

    def actions(self) -> tuple[str, ...]:
        """All that can be done; where there is a search bar, `<keywords>` stands for any."""
        clicks = dict.fromkeys(f"click[{button.lower()}]" for button in self.buttons())
        return (KEYWORDS,) if self.page == "search" else tuple(clicks)

    def act(self, action: object) -> bool:
        """Do it, and say whether it was possible. As in the original one can search from every page."""
        read = ACTION.fullmatch(action.strip()) if isinstance(action, str) else None
        if read is None:
            return False
        verb, what = read[1], read[2].lower()
        if verb == "search":
            self._search(what)
            return True
        if what not in {button.lower() for button in self.buttons()}:
            return False
        self._click(what)
        return True

    def _search(self, keywords: str) -> None:
        self.found, self.number = self.shop.search(keywords), 1
        self._to_results()

    def _to_results(self) -> None:
        self.page, self.place, self.options = "results", None, {}

    def _click(self, button: str) -> None:
        if self.page == "results" and button in (PREVIOUS.lower(), NEXT.lower()):
            self.number += 1 if button == NEXT.lower() else -1
        elif button == BACK.lower():
            self.page, self.found, self.number, self.place, self.options = "search", (), 1, None, {}
        elif self.page == "results":
            asins = {self.shop.product(place)["asin"].lower(): place for place in self.shown()}
            self.page, self.place = "product", asins[button]
        elif self.page != "product":
            self.page = "product"
        else:
            self._click_on_product(button)

    def _click_on_product(self, button: str) -> None:
        named = [name for name, values in self.product["options"].items() if button in map(str.lower, values)]
        if named:
            self.options[named[-1]] = button
        elif button == PREVIOUS.lower():
            self._to_results()
        elif button == BUY.lower():
            self.page = "bought"
        else:
            self.page = button.capitalize()

    def text(self) -> str:
        """The page as the original's text mode writes it: what is visible, one thing after another."""
        asked = ["Instruction:", self.goal["text"]]
        if self.page == "search":
            return SEPARATOR.join(["WebShop", *asked, "Search"])
        if self.page == "bought":
            return SEPARATOR.join(["Thank you for shopping with us!", self.product["asin"], *self.options.values()])
        if self.page == "results":
            head = f"Page {self.number} (Total results: {len(self.found)})"
            turns = [button for button in self.buttons() if button in (PREVIOUS, NEXT)]
            listed = [self.shop.product(place) for place in self.shown()]
            items = [text for item in listed for text in (item["asin"], item["title"], item["price_text"])]
            return SEPARATOR.join([*asked, BACK, head, *turns, *items])
        return SEPARATOR.join(
            [*asked, BACK, PREVIOUS, *(self._product() if self.page == "product" else self._sub_page())]
        )

    def _product(self) -> list[str]:
        product = self.product
        options = [text for name, values in product["options"].items() for text in (name, *values)]
        chosen = [f"You have clicked {value}." for value in self.options.values()]
        facts = [product["title"], f"Price: {product['price_text']}", f"Rating: {product['rating']}"]
        return [*chosen, *options, *facts, *SUB_PAGES, BUY]

    def _sub_page(self) -> list[str]:
        if self.page == "Features":
            return self.product["features"] or ["No Features"]
        if self.page == "Description":
            return [self.product["description"] or "No Description"]
        reviews = [f"{review.get('title', '')} {review.get('body', '')}".strip() for review in self.product["reviews"]]
        return reviews or ["No Reviews"]
