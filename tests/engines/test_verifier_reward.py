"""A task's verifier as a reward."""

from htpo.engines.trl.verifier_reward import VerifierReward
from htpo.verifiers.math.verifier import MathVerifier


def test_a_response_that_never_leaves_the_reasoning_its_template_opened_earns_nothing():
    verifier = MathVerifier(workers=1)
    reward = VerifierReward(verifier, ["prompt", "answer"], {0}, lambda prompt: f"{prompt[0]['content']}\n<think>\n")
    completions = [[{"role": "assistant", "content": text}] for text in ("so \\boxed{5}", "so</think>\\boxed{5}")]
    logged = {}
    prompts = [[{"role": "user", "content": "2 + 3?"}]] * 2
    assert reward(prompts, completions, [[1, 0]] * 2, logged.__setitem__, answer=["5", "5"]) == [0.0, 1.0]
    assert logged["verifier/unparsable_share"] == 0.5
