"""A task's verifier as a reward."""

from htpo.engines.judging import Judge
from htpo.engines.trl.verifier_reward import correct, partial_credit
from htpo.verifiers import Verdict
from htpo.verifiers.math.verifier import MathVerifier
from tests.engines.tiny import config, scripted_rollouts, trainer


def test_a_response_that_never_leaves_the_reasoning_its_template_opened_earns_nothing():
    verifier = MathVerifier(workers=1)
    judge = Judge(verifier, lambda prompt: f"{prompt[0]['content']}\n<think>\n")
    rows = [{"prompt": [{"role": "user", "content": "2 + 3?"}], "answer": "5"}] * 2
    said = judge(rows, ["so \\boxed{5}", "so</think>\\boxed{5}"], [True, True])
    logged = {}
    assert correct(verdict=[each.verdict for each in said], log_metric=logged.__setitem__) == [0.0, 1.0]
    assert logged["verifier/unparsable_share"] == 0.5


class LastSignIsEven:
    """Finds every response worth something, and right when its last sign has an even number."""

    def judge(self, responses, rows):
        return [Verdict(ord(text[-1]) % 2 == 0, score=0.5 + len(text)) for text in responses]

    def close(self):
        pass


def test_what_is_correct_is_the_verdict_s_own_word_whatever_the_rewards(tiny_model, tmp_path):
    seen = []
    args = config(tmp_path, max_steps=1, dynamic_sampling=False, overlong_buffer=0, scale_rewards="none")
    host = trainer(
        tiny_model,
        args,
        [partial_credit],
        judge=Judge(LastSignIsEven()),
        rollout_func=scripted_rollouts,
        rollout_recorder=lambda step, inputs, batch, outcome, *_: seen.append((inputs, batch)),
    )
    host.train()
    inputs, batch = seen[0]
    texts = [host.processing_class.decode(ids[mask]) for ids, mask in zip(inputs["completion_ids"], batch.mask)]
    assert batch.correct.tolist() == [ord(text[-1]) % 2 == 0 for text in texts]
    assert inputs["reward"].tolist() == [0.5 + len(t) - float(c) for t, c in zip(texts, batch.correct.tolist())]
    assert {*batch.correct.tolist()} == {True, False}
    assert (inputs["reward"] > 0).all()
