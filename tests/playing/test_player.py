"""Episodes as rows, played by a scripted policy."""

import pytest
from transformers import AutoTokenizer

from htpo.environments import EnvironmentWorkers
from htpo.errors import UserError
from htpo.playing.formats import PROMPT_FORMATS, Compact
from htpo.playing.player import Player, Turn
from htpo.playing.turn_tokens import TurnTokens
from tests.playing.scripted import EOS, TEMPLATE, Scripted

COUNTING = "tests.environments.unruly:Counting"


@pytest.fixture(scope="module")
def worlds():
    with EnvironmentWorkers(COUNTING, {"total": 4}, workers=1) as workers:
        yield workers


@pytest.fixture
def tokenizer(tiny_model):
    return AutoTokenizer.from_pretrained(tiny_model)


class CompactChat(Compact):
    chat = True


def play(worlds, tokenizer, told=None, sample=None, tasks=6, max_tokens=500, shown=None, **changes):
    turns = TurnTokens(told or PROMPT_FORMATS["compact"], tokenizer)
    sample = sample or Scripted(tokenizer)
    rows = [{**row, **changes} for row in worlds.rows("train", tasks)]
    return Player(worlds, turns, 5, max_tokens, **(shown or {})).play(rows, [0] * tasks, sample)


@pytest.mark.parametrize("told", [Compact(), CompactChat()])
@pytest.mark.parametrize("seed", range(5))
def test_a_row_is_what_each_turn_was_sampled_after_and_its_mask_exactly_what_was_sampled(worlds, tokenizer, told, seed):
    tokenizer.chat_template = TEMPLATE
    policy = Scripted(tokenizer, seed)
    rows = play(worlds, tokenizer, told, policy, tasks=3)
    for row in rows:
        whole = row.prompt + row.response
        place = len(row.prompt)
        for _ in row.episode.actions:
            turn = policy.turn(whole[:place])
            assert whole[:place] in policy.asked
            assert whole[place : place + len(turn.ids)] == turn.ids
            start = place - len(row.prompt)
            assert row.sampled[start : start + len(turn.ids)] == [True] * len(turn.ids)
            assert row.log_probs[start : start + len(turn.ids)] == turn.log_probs
            place += len(turn.ids)
            shown = row.sampled[place - len(row.prompt) :]
            shown = shown.index(True) if True in shown else len(shown)
            assert row.log_probs[place - len(row.prompt) :][:shown] == [0.0] * shown
            place += shown
        assert place == len(whole)
        assert row.sampled[-1]
        assert len(row.sampled) == len(row.log_probs) == len(row.response)
    assert sum(len(turn.ids) for turn in policy.answered) == sum(sum(row.sampled) for row in rows)
    assert len({tuple(row.response) for row in rows}) == 1, "the scripted policy knows no chance"


class Silent(TurnTokens):
    """Shows nothing between turns, so that they cannot be told apart by what was sampled."""

    def following(self, turn, observation):
        return []


def test_a_row_knows_in_which_turn_each_token_was_sampled(worlds, tokenizer):
    for kind in (TurnTokens, Silent):
        player = Player(worlds, kind(PROMPT_FORMATS["compact"], tokenizer), max_turn_tokens=5, max_tokens=500)
        rows = player.play(worlds.rows("train", 6), [0] * 6, Scripted(tokenizer, 3))
        for row in rows:
            expected = [number for number, turn in enumerate(row.turns, 1) for _ in turn.ids]
            assert [number for number in row.turn_numbers if number] == expected
            assert [number > 0 for number in row.turn_numbers] == row.sampled
        assert len({number for row in rows for number in row.turn_numbers}) > 3


def test_what_was_not_sampled_is_what_the_environment_showed(worlds, tokenizer):
    row = play(worlds, tokenizer, sample=lambda contexts: [Turn([*tokenizer("1")["input_ids"], EOS])] * 6)[0]
    assert tokenizer.decode(row.prompt) == "0 of 4 >"
    assert tokenizer.decode(row.response) == "1<eos> 1 of 4 >1<eos> 2 of 4 >1<eos> 3 of 4 >1<eos>"
    assert row.episode.success
    assert row.log_probs is None


def test_a_chat_is_the_templates_own_where_the_policy_writes_as_the_tokenizer_does(worlds, tokenizer):
    tokenizer.chat_template = TEMPLATE
    row = play(worlds, tokenizer, CompactChat(), lambda contexts: [Turn([*tokenizer("2")["input_ids"], EOS])] * 6)[0]
    chat = [{"role": "user", "content": "0 of 4 >"}, {"role": "assistant", "content": "2"}]
    chat += [{"role": "user", "content": " 2 of 4 >"}]
    expected = tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False) + "2<eos>"
    assert tokenizer.decode(row.prompt + row.response) == expected
    cut = play(worlds, tokenizer, CompactChat(), lambda contexts: [Turn(tokenizer("2")["input_ids"])] * 6)[0]
    assert tokenizer.decode(cut.prompt + cut.response) == expected.removesuffix("<eos>"), "the template ends a turn"


def test_an_episode_is_the_same_alone_and_among_others(worlds, tokenizer):
    together = play(worlds, tokenizer, sample=Scripted(tokenizer, 7))
    alone = play(worlds, tokenizer, sample=Scripted(tokenizer, 7), tasks=1)
    assert [(row.prompt, row.response, row.sampled, row.log_probs) for row in together[:1]] == [
        (row.prompt, row.response, row.sampled, row.log_probs) for row in alone
    ]


def test_only_living_episodes_are_asked_for_a_turn(worlds, tokenizer):
    sizes = []

    def sample(contexts):
        sizes.append(len(contexts))
        return [Turn([*tokenizer(text)["input_ids"], EOS]) for text in ["2", *["1"] * 5][: len(contexts)]]

    play(worlds, tokenizer, sample=sample)
    assert sizes == [6, 6, 5, 4], "the first of those that are left adds two, the others one"


def test_an_episode_that_no_longer_fits_is_given_up(worlds, tokenizer):
    policy = Scripted(tokenizer)
    full = play(worlds, tokenizer, sample=policy)[0]
    rows = play(worlds, tokenizer, sample=Scripted(tokenizer), max_tokens=len(full.response) - 1)
    for row in rows:
        assert row.overflowed
        assert not row.episode.success
        assert len(row.response) < len(full.response)
        assert row.sampled[-1], "nothing is shown that nobody answers"
    assert not full.overflowed


class Ones:
    """Adds one in every turn; keeps what it was shown, as text."""

    def __init__(self, tokenizer):
        self.tokenizer, self.read = tokenizer, []

    def __call__(self, contexts):
        self.read.append(self.tokenizer.decode(contexts[0]))
        return [Turn([*self.tokenizer("1")["input_ids"], EOS])] * len(contexts)


ALL = ["0 of 4 >", "0 of 4 >1<eos> 1 of 4 >", "0 of 4 >1<eos> 1 of 4 >1<eos> 2 of 4 >"]
ALL.append(ALL[-1] + "1<eos> 3 of 4 >")


@pytest.mark.parametrize(
    ("history_length", "last_two", "forgotten"),
    [
        (None, ALL[2:], [0, 0, 0, 0]),
        (3, ALL[2:], [0, 0, 0, 0]),
        (2, [ALL[2], "0 of 4 >1<eos> 2 of 4 >1<eos> 3 of 4 >"], [0, 0, 0, 1]),
        (1, ["0 of 4 >1<eos> 2 of 4 >", "0 of 4 >1<eos> 3 of 4 >"], [0, 0, 1, 2]),
    ],
)
def test_the_policy_is_shown_the_task_and_the_last_turns(worlds, tokenizer, history_length, last_two, forgotten):
    policy = Ones(tokenizer)
    row = play(worlds, tokenizer, sample=policy, shown={"oldest_leave": True, "history_length": history_length})[0]
    assert policy.read == ALL[:2] + last_two
    assert row.forgotten == forgotten
    assert row.episode.success
    assert tokenizer.decode(row.prompt + row.response) == ALL[-1] + "1<eos>", "the record is of all turns"


@pytest.mark.parametrize(
    ("max_tokens", "last_two", "forgotten"),
    [
        (38, ALL[2:], [0, 0, 0, 0]),  # three turns and what they led to are 33 tokens, and a new one may have 5
        (37, [ALL[2], "0 of 4 >1<eos> 2 of 4 >1<eos> 3 of 4 >"], [0, 0, 0, 1]),
        (27, [ALL[2], "0 of 4 >1<eos> 2 of 4 >1<eos> 3 of 4 >"], [0, 0, 0, 1]),
        (26, ["0 of 4 >1<eos> 2 of 4 >", "0 of 4 >1<eos> 3 of 4 >"], [0, 0, 1, 2]),
        (16, ["0 of 4 >1<eos> 2 of 4 >", "0 of 4 >1<eos> 3 of 4 >"], [0, 0, 1, 2]),
    ],
)
@pytest.mark.parametrize("limit", ["max_tokens", "max_context"])
def test_the_oldest_turns_leave_what_no_longer_fits(worlds, tokenizer, max_tokens, last_two, forgotten, limit):
    policy, shown = Ones(tokenizer), {"oldest_leave": True}
    if limit == "max_context":
        shown |= {"max_context": max_tokens + len("0 of 4 >")}
        max_tokens = 500
    row = play(worlds, tokenizer, sample=policy, max_tokens=max_tokens, shown=shown)[0]
    assert policy.read == ALL[:2] + last_two
    assert row.forgotten == forgotten
    assert row.episode.success
    assert not row.overflowed


def test_an_episode_of_which_the_last_turn_alone_does_not_fit_is_given_up(worlds, tokenizer):
    policy = Ones(tokenizer)
    row = play(worlds, tokenizer, sample=policy, max_tokens=15, shown={"oldest_leave": True})[0]
    assert policy.read == ALL[:1]
    assert row.overflowed
    assert row.forgotten == [0]
    assert not row.episode.success


@pytest.mark.parametrize("seed", range(3))
def test_nothing_changes_where_everything_fits(worlds, tokenizer, seed):
    stays, may_leave = Scripted(tokenizer, seed), Scripted(tokenizer, seed)
    rows = play(worlds, tokenizer, sample=stays)
    others = play(worlds, tokenizer, sample=may_leave, shown={"oldest_leave": True, "history_length": 50})
    assert may_leave.asked == stays.asked
    assert [(row.response, row.sampled, row.log_probs) for row in rows] == [
        (row.response, row.sampled, row.log_probs) for row in others
    ]


def test_a_chat_without_its_oldest_turns_is_the_templates_own(worlds, tokenizer):
    tokenizer.chat_template = TEMPLATE
    policy = Ones(tokenizer)
    play(worlds, tokenizer, CompactChat(), policy, shown={"oldest_leave": True, "history_length": 1})
    chat = [{"role": "user", "content": "0 of 4 >"}, {"role": "assistant", "content": "1"}]
    chat += [{"role": "user", "content": " 3 of 4 >"}]
    assert policy.read[-1] == tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)


def test_an_action_that_is_none_is_invalid_and_takes_a_step(worlds, tokenizer):
    row = play(worlds, tokenizer, sample=lambda contexts: [Turn([EOS])] * len(contexts))[0]
    assert row.episode.actions == [None] * 6
    assert row.episode.invalid_actions == 6
    assert row.episode.truncated
    assert not row.episode.success


@pytest.mark.parametrize(("at", "turns"), [("reset", 0), (2, 2)])
def test_an_environment_that_fails_ends_its_episode_alone(worlds, tokenizer, at, turns):
    one = Turn([*tokenizer("1")["input_ids"], EOS])
    rows = play(worlds, tokenizer, sample=lambda contexts: [one] * len(contexts), tasks=2, at=at, does="raises")
    assert [row.episode.failure for row in rows] == ["crash", "crash"]
    assert [len(row.episode.actions) for row in rows] == [turns and turns - 1] * 2
    assert [sum(row.sampled) for row in rows] == [2 * turns] * 2


def test_a_chat_template_that_refuses_what_is_told_is_refused_in_a_line(tokenizer):
    tokenizer.chat_template = "{{ raise_exception('no such roles') }}"
    with pytest.raises(UserError, match="template does not take the prompts .no such roles."):
        TurnTokens(PROMPT_FORMATS["verl_agent"], tokenizer).check()
    TurnTokens(PROMPT_FORMATS["compact"], tokenizer).check()


def test_a_chat_template_that_hides_earlier_turns_is_refused(worlds, tokenizer):
    tokenizer.chat_template = "{{ messages[-1].content }}"
    with pytest.raises(UserError, match="does not show earlier turns of the policy"):
        play(worlds, tokenizer, CompactChat())
