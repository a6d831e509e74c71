"""A policy that is scripted, for a tokenizer of characters."""

import random

from htpo.playing.player import Turn

EOS, UNKNOWN = 1, 2
TEMPLATE = "{% for m in messages %}{{ m.role[0] }}:{{ m.content }}<eos>.{% endfor %}{{ 'a:' if add_generation_prompt }}"


class Scripted:
    """Writes 1, 2 or something invalid, by the ids before alone; keeps what it was asked and what it answered."""

    def __init__(self, tokenizer, seed=0):
        self.tokenizer, self.seed, self.asked, self.answered = tokenizer, seed, [], []

    def __call__(self, contexts):
        turns = [self.turn(context) for context in contexts]
        self.asked += contexts
        self.answered += turns
        return turns

    def turn(self, context):
        rng = random.Random(repr((self.seed, context)))
        ids = self.tokenizer(rng.choice(["1", "2", "no", ""]))["input_ids"] + [EOS] * rng.randrange(2)
        ids = [UNKNOWN] * rng.randrange(2) + ids or [UNKNOWN]  # decodes to nothing: encoded again it would be gone
        return Turn(ids, [rng.uniform(-3, 0) for _ in ids])
