"""The reward of a purchase, as WebShop defines it (2207.01206, section 3.2, in the arithmetic of its code)."""

from htpo.environments.webshop.goals import Goal
from htpo.environments.webshop.products import Product

LEVELS = "\u203a"  # between the parts of a category
ALIKE = 85  # of 100, above which two texts are taken for the same
COLOURS = """
alabaster apricot aqua ash asphalt azure banana beige black blue blush bordeaux bronze brown burgundy camel camo
caramel champagne charcoal cheetah chestnut chocolate christmas coffee cognac copper coral cranberry cream crystal
dark denim eggplant elephant espresso fuchsia gold granite grape graphite grass gray green grey heather indigo ivory
ivy khaki lavender lemon leopard light lilac lime magenta maroon mauve merlot midnight mint mocha multicolor
mushroom mustard natural navy nude olive orange peach pewter pink plum purple rainbow red rose royal rust sand
sapphire seashell silver skull slate steel stone stonewash sunflower tan taupe teal tiger turquoise violet walnut
wheat white wine yellow
""".split()  # noqa: SIM905
"""WebShop's, in its order: an option that contains one of them counts as the first that it contains."""


def reward(bought: Product, options: list[str], goal: Goal, wanted: Product) -> float:
    """From 0 to 1: the share of attributes, options and price limit that fit, times how alike the products are.

    Args:
        bought: the product that was bought, with these options.
        wanted: the product that the goal was made of.
    """
    attributes = sum(has_attribute(bought, attribute) for attribute in goal["attributes"])
    chosen = [plain_colour(option) for option in options]
    fitting = sum(any(alike(plain_colour(want), option) for option in chosen) for want in goal["options"])
    within = bool(bought["price"] <= goal["price_limit"])
    share: float = (attributes + fitting + within) / (len(goal["attributes"]) + len(goal["options"]) + 1)
    return share * type_factor(bought, wanted)


def type_factor(bought: Product, wanted: Product) -> float:
    """1 for products of a kind; less where query, categories and the nouns of the titles have little in common."""
    same_query = bought["query"] == wanted["query"]
    categories = [{part.strip() for part in each["product_category"].split(LEVELS)} for each in (bought, wanted)]
    nouns = [set(each["title_nouns"]) for each in (bought, wanted)]
    common = len(nouns[0] & nouns[1]) / len(wanted["title_nouns"]) if nouns[1] else 0.2
    if common == 0:
        return 0.0
    if common < 0.1:
        return 0.1
    return 1.0 if same_query or len(categories[0] & categories[1]) >= 2 or common > 0.2 else 0.5


def has_attribute(product: Product, attribute: str) -> bool:
    """Whether a product has an attribute, by name or in its texts."""
    if any(alike(own, attribute) for own in product["attributes"]):
        return True
    texts = (product["title"], " ".join(product["features"]), product["description"])
    return any(attribute in text.lower() for text in texts)


def plain_colour(option: str) -> str:
    """The colour in an option's text, else the text."""
    return next((colour for colour in COLOURS if colour in option), option)


def alike(one: str, other: str) -> bool:
    """Whether two texts have nearly the same words."""
    from thefuzz import fuzz

    return bool(fuzz.token_set_ratio(one, other) > ALIKE)
