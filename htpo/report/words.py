"""The terms of the page in plain words."""

GLOSSARY = {
    "policy": "the language model that is trained.",
    "update": "one step of training: the policy's weights change once.",
    "accuracy": "the share of its answers in training that were right. Where problems are drawn anew until they teach "
    "something, easy and hard ones both drop out, so it need not rise.",
    "pass@k": "the share of held-out problems (never trained on) of which at least one of k answers is right. pass@1 "
    "is how often a single answer is right; pass@k for large k is what the policy can find at all.",
    "entropy": "how unsure the policy is which token comes next, in nats. 0: certain; 0.69: a fair coin.",
    "forking token": "one of the tokens at which the policy is least sure (the top fifth of an answer): there answers "
    "part.",
    "group": "the tokens that the objective treats alike.",
    "advantage (A)": "how much better an answer was than the policy's other answers to the same problem. Tokens with "
    "A > 0 become likelier, tokens with A < 0 less likely.",
    "weight (w)": "what the objective multiplies a token's A with; 0: the token is ignored (detached or clipped).",
    "clip": "PPO's limit to how far a token's probability may move before it stops counting.",
    "95 % interval": "if problems of the same kind were drawn again, the mean would lie in such an interval in about "
    "95 of 100 cases. Another seed of training can differ by more: htpo study compares over seeds.",
}
