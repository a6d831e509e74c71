"""Verifiers as a user writes them, for the tests."""

from htpo.verifiers import Verdict


def ends_with_target(response, row):
    return response.strip().endswith(str(row["target"]["value"]))


def share_of_vowels(response, row):
    return sum(letter in "aeiou" for letter in response) / max(len(response), 1)


def minus_or_plus_one(response, row):
    return 1 if response == "right" else -1


def own_verdict(response, row):
    return Verdict(response == "yes", extracted=response[:3], failure=None if response else "unparsable")


def raises_on_x(response, row):
    if "x" in response:
        raise KeyError("no x please")
    return True


def returns_text(response, row):
    return "right"


def returns_nan(response, row):
    return float("nan")


def returns_none(response, row):
    return None


def returns_infinity(response, row):
    return float("inf")


def takes_only_the_response(response):
    return True


def reads_another_column(response, row):
    return response == row["solution"]


not_a_function = 3
