"""Make a small policy that half-knows an environment, from walkthroughs of training tasks: a token is a word.

    python scripts/make_agent_policy.py household --output htpo/assets/household --games 6000 --lapses 0.6 \\
        --steps 1000 --batch 24
    python scripts/make_agent_policy.py alfworld:train --output alfworld_policy --games 2500 --searches 3 --slips 0.2 \\
        --too_soon --renamed 0.5 --hidden 128 --layers 4 --batch 16 --alike --learning_rate 2e-3 --warmup 100 \\
        --steps 2500
    python scripts/make_agent_policy.py webshop:train --output webshop_policy --games 2000 --hidden 128 --layers 4

Episodes are told as `htpo train` tells them in the compact format, and only actions are learnt. It is stopped early, so
that it does a part of the tasks: a base to be improved by reinforcement.
"""

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from tiny_policy import IGNORED, PEAK_LEARNING_RATE, Batch, fit, save, tiny_qwen, word_tokenizer
from tokenizers import Regex, decoders, pre_tokenizers
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from htpo.environments import EnvironmentLabel, EnvironmentWorkers, Episode, Observation
from htpo.playing.formats import PROMPT_FORMATS

COMPACT = PROMPT_FORMATS["compact"]
AT_ONCE = 64  # episodes
GOING = "go to "
SEARCHING = "search["
SOON = 4  # actions
WORDS_AND_SIGNS = r"\w+|[^\w\s]+"
IN_SHOP = r"\[SEP\]|[\[\]]|[^\s\[\]]+"
FEW_GAMES = 0.05  # of all

Known = tuple[list[int], list[int]]
"""A game's ids, and its labels."""


@dataclass(frozen=True)
class Told:
    """A turn of a demonstration: what is shown, the action after it, and whether that is to be learnt."""

    shown: str
    action: str
    learnt: bool


def walkthrough(worlds: EnvironmentWorkers, row: dict[str, Any]) -> list[str]:
    """The environment's own; in the shop that of a customer who has only read the instruction."""
    actions = worlds.walkthrough(row) or []
    if worlds.name != "webshop":
        return actions
    wanted = re.sub(r",? and price lower than .*$", "", row["task"])
    asin = next(n for n, action in enumerate(actions) if re.fullmatch(r"click\[b[0-9a-z]{9}\]", action))
    return [f"search[{' '.join(wanted.split())}]", *actions[asin:]]


def as_on_the_page(action: str, page: str) -> str:
    """What is clicked, with the page's capitals, so that a policy that knows words can copy it."""
    if not action.startswith("click["):
        return action
    found = re.search(rf"(?:^|(?<=\[SEP\] )){re.escape(action[6:-1])}(?= \[SEP\]|$)", page, re.IGNORECASE)
    return f"click[{found[0]}]" if found else action


def slip(
    seen: Observation, ahead: Sequence[str], others: Sequence[str], rng: random.Random, too_soon: bool = False
) -> str:
    """What does no harm: going elsewhere where one is about to go, else an action that is not possible.

    With `too_soon` it is as often each of going elsewhere, what is due later, and another game's action.
    One may search from any page of the shop, so a search is never a slip.
    """
    elsewhere = ways(seen) if ahead[0].startswith(GOING) else []
    impossible, due_later = (
        [each for each in actions if each not in (seen.actions or ()) and not each.startswith(SEARCHING)]
        for actions in (others, ahead[1:SOON])
    )
    if too_soon:
        kinds = [actions for actions in (elsewhere, due_later, impossible) if actions]
        return rng.choice(rng.choice(kinds or [[ahead[0]]]))
    return rng.choice(elsewhere or impossible or [ahead[0]])


def ways(seen: Observation) -> list[str]:
    """The actions that go somewhere."""
    return [action for action in seen.actions or () if action.startswith(GOING)]


@dataclass
class Search:
    """Other places that are looked into before one goes where a thing is, as one must who does not know it.

    A plan knows where everything is: who only imitates it never learns to look elsewhere for what is not there.
    """

    most: int  # places before each thing
    rng: random.Random
    gone: list[str] = field(default_factory=list)  # the ways taken since the last thing

    def put_before(self, shown: Observation, ahead: list[str]) -> bool:
        """Puts a look elsewhere before the actions `ahead`; gives whether what is next is worth learning."""
        if not self.most:
            return True
        possible = shown.actions or ()
        if ahead[0].startswith("open ") and ahead[0] not in possible:
            del ahead[0]  # it was opened when it was looked into
        kind = _taken_after_going(ahead)
        if kind is None:
            self.gone = []
            return True
        opening = f"open {self.gone[-1].removeprefix(GOING)}" if self.gone else None
        if opening in possible:
            ahead.insert(0, opening)
            return True
        leaves_it = re.search(rf"(?s)\byou see\b.*\b{kind} \d", shown.text) is not None
        if len(self.gone) < self.most and self.rng.random() < self.most / (self.most + 1):
            others = [way for way in ways(shown) if way not in (*self.gone, ahead[0])]
            if others:
                self.gone.append(self.rng.choice(others))
                ahead.insert(0, self.gone[-1])
        return not leaves_it


def _taken_after_going(ahead: Sequence[str]) -> str | None:
    """The kind of thing that is taken where the first action goes; None when it goes nowhere for that."""
    if not ahead or not ahead[0].startswith(GOING):
        return None
    place = ahead[0].removeprefix(GOING)
    then = ahead[1:3] if ahead[1:2] == [f"open {place}"] else ahead[1:2]
    taken = re.fullmatch(rf"take (.+) \d+ from {re.escape(place)}", then[-1]) if then else None
    return taken[1] if taken else None


def demonstrations(
    worlds: EnvironmentWorkers,
    rows: Sequence[dict[str, Any]],
    slips: float,
    lapses: float,
    searches: int,
    rng: random.Random,
    too_soon: bool = False,
) -> Iterator[list[Told]]:
    """Walkthroughs with slips between, from which going on can be learnt; in a share of them one action is left out."""
    bar = tqdm(total=len(rows), unit="game")
    for start in range(0, len(rows), AT_ONCE):
        batch = rows[start : start + AT_ONCE]
        episodes = worlds.reset(batch, [0] * len(batch))
        left = {episode: walkthrough(worlds, episode.row) for episode in episodes}
        others = sorted({action for actions in left.values() for action in actions})
        for actions in left.values():
            if len(actions) > 1 and rng.random() < lapses:
                del actions[rng.randrange(len(actions))]
        told: dict[Episode, list[Told]] = {episode: [] for episode in episodes}
        searching = {episode: Search(searches, rng) for episode in episodes}
        while ahead := [episode for episode in episodes if left[episode] and not episode.done]:
            for episode in ahead:
                seen = episode.observation
                worth_learning = searching[episode].put_before(seen, left[episode])
                slipped = rng.random() < slips
                action = slip(seen, left[episode], others, rng, too_soon) if slipped else left[episode].pop(0)
                shown = COMPACT.shown(seen, first=not told[episode])
                told[episode].append(
                    Told(shown, as_on_the_page(action, seen.text), learnt=worth_learning and not slipped)
                )
            worlds.step(ahead, [told[episode][-1].action for episode in ahead])
        worlds.end(episodes)
        bar.update(len(batch))
        yield from told.values()
    bar.close()


def make_tokenizer(environment: str, texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A token per word; signs are words, but in the shop, where what is clicked must be written as it stands there."""
    pieces = IN_SHOP if environment == "webshop" else WORDS_AND_SIGNS
    words = dict.fromkeys(word for text in texts for word in re.findall(pieces, text))
    decoder = None
    if environment == "webshop":
        spaced = [decoders.Replace(Regex("^"), " "), decoders.Fuse()]
        brackets = [decoders.Replace(" [ ", "["), decoders.Replace(" ]", "]")]
        decoder = decoders.Sequence([*spaced, *brackets, decoders.Strip(" ", 1, 0)])
    return word_tokenizer(words, pre_tokenizers.Split(Regex(pieces), behavior="removed", invert=True), decoder)


def as_ids(told: Sequence[Told], tokenizer: PreTrainedTokenizerFast) -> Known:
    """An episode and its labels, in which only actions are learnt that are not slips."""
    ids: list[int] = []
    labels: list[int] = []
    for turn in told:
        before = tokenizer(text=turn.shown)["input_ids"]
        written = [*tokenizer(text=turn.action)["input_ids"], tokenizer.eos_token_id]
        if COMPACT.action(tokenizer.decode(written, skip_special_tokens=True)) != turn.action:
            raise SystemExit(f"the tokenizer does not give back {turn.action!r}")
        ids += before + written
        labels += [IGNORED] * len(before) + (written if turn.learnt else [IGNORED] * len(written))
    return ids, labels


@dataclass(frozen=True)
class Renaming:
    """Other names in place of a game's own, the same throughout a game: they can only be copied, never guessed."""

    names: Sequence[int]  # ids
    of_a_kind: bool  # a name is a number, which belongs to the word before it

    @classmethod
    def of(cls, environment: str, known: Sequence[Known], tokenizer: PreTrainedTokenizerFast) -> "Renaming":
        """In the shop the names are the words of few games, elsewhere the numbers of things and places."""
        if environment != "webshop":
            return cls([n for word, n in tokenizer.get_vocab().items() if word.isdecimal()], of_a_kind=True)
        games = Counter(each for ids, _ in known for each in set(ids))
        few = len(known) * FEW_GAMES
        return cls([each for each, count in games.items() if count <= few], of_a_kind=False)

    @cached_property
    def _set_of_names(self) -> frozenset[int]:
        return frozenset(self.names)

    def __call__(self, game: Known, rng: random.Random) -> Known:
        """The game with new names."""
        left: dict[int | None, list[int]] = {}
        given: dict[tuple[int | None, int], int] = {}
        ids, labels = list(game[0]), list(game[1])
        for at, old in enumerate(game[0]):
            if old not in self._set_of_names:
                continue
            kind = game[0][at - 1] if self.of_a_kind and at else None
            if (kind, old) not in given:
                given[kind, old] = left.setdefault(kind, rng.sample(self.names, len(self.names))).pop()
            ids[at] = given[kind, old]
            labels[at] = IGNORED if labels[at] == IGNORED else ids[at]
        return ids, labels


def batch_of(known: Sequence[Known], padding: int) -> Batch:
    """Padded on the right."""
    width = max(len(ids) for ids, _ in known)
    ids = torch.tensor([ids + [padding] * (width - len(ids)) for ids, _ in known])
    return ids, torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in known])


def drawing(known: Sequence[Known], size: int, alike: bool, rng: random.Random) -> Callable[[], Sequence[Known]]:
    """What draws `size` games: any, or neighbours in length, of which less is padding."""
    if not alike:
        return lambda: rng.sample(known, size)
    by_length = sorted(known, key=lambda game: len(game[0]))

    def neighbours() -> Sequence[Known]:
        start = rng.randrange(len(known) - size + 1)
        return by_length[start : start + size]

    return neighbours


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("environment", metavar="ENVIRONMENT[:SPLIT]")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--options", type=json.loads, default={}, help="of the environment, as JSON")
    parser.add_argument("--games", type=int, help="to learn from; by default all of the split")
    parser.add_argument("--slips", type=float, default=0.15, help="chance of a slip before an action")
    parser.add_argument("--too_soon", action="store_true", help="slips may be what is due later, too")
    parser.add_argument("--lapses", type=float, default=0.0, help="share of games in which an action is left out")
    parser.add_argument("--searches", type=int, default=0, help="at most so many places looked into before each thing")
    parser.add_argument("--steps", type=int, default=330)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--alike", action="store_true", help="batches of games that are about as long")
    parser.add_argument("--renamed", type=float, default=0.0, help="share of games drawn whose names are exchanged")
    parser.add_argument("--learning_rate", type=float, default=PEAK_LEARNING_RATE)
    parser.add_argument("--warmup", type=int, default=0, help="steps")
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    rng = random.Random(args.seed)
    label = EnvironmentLabel.parse(args.environment)
    with EnvironmentWorkers(label.name, args.options) as worlds:
        rows = worlds.rows(label.split, args.games, args.seed + 1)
        told = list(demonstrations(worlds, rows, args.slips, args.lapses, args.searches, rng, args.too_soon))
    turns = [turn for each in told for turn in each]
    tokenizer = make_tokenizer(label.name, (f"{turn.shown} {turn.action}" for turn in turns))
    known = [as_ids(each, tokenizer) for each in told]
    longest = max(len(ids) for ids, _ in known)
    print(f"{len(known)} games, {len(turns)} turns, {len(tokenizer)} words; no game has more than {longest} tokens")
    model = tiny_qwen(
        tokenizer,
        hidden_size=args.hidden,
        num_hidden_layers=args.layers,
        num_key_value_heads=1,
        head_dim=args.hidden // 4,
        intermediate_size=3 * args.hidden,
        max_position_embeddings=4096,
    )
    draw, renaming = drawing(known, args.batch, args.alike, rng), Renaming.of(label.name, known, tokenizer)

    def draw_batch() -> Batch:
        games = [renaming(game, rng) if args.renamed and rng.random() < args.renamed else game for game in draw()]
        return batch_of(games, tokenizer.pad_token_id)

    fit(model, draw_batch, args.steps, args.learning_rate, args.warmup)
    save(model, tokenizer, args.output)


if __name__ == "__main__":
    main()
