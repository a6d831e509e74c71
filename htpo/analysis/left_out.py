"""Why a part of the analysis is left out."""


class LeftOut(Exception):
    """Something cannot be computed from what is there, or a figure drawn; the message says why."""
