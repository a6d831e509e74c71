"""The method in plain words, for readers who do not know it."""

import re

OBJECTIVES = {
    "htpo": "HTPO sorts every token of every answer by three questions (is the problem hard or easy for the policy, "
    "was the answer right or wrong, was the policy unsure at this token) and gives each of the eight groups a rule of "
    "its own, so that it explores where that helps and exploits where it can.",
    "dapo": "DAPO learns from every token alike. It leaves more room upwards than downwards, draws new problems in "
    "place of those that are always or never solved, and punishes answers near the length limit.",
    "grpo": "GRPO learns from every token of an answer alike; every answer counts the same, however long.",
    "dr_grpo": "Dr. GRPO is GRPO without its two normalisations, by answer length and by the spread of the rewards.",
    "gspo": "GSPO judges how far the policy has moved by whole answers instead of tokens.",
    "sapo": "SAPO fades tokens out softly, the further the policy has moved on them.",
    "cispo": "CISPO limits the weight of a token but never ignores one.",
    "bapo": "BAPO sets the room for each token anew at every update, so that right answers keep their say.",
    "entropy_mask": "The 80/20 rule learns only from the fifth of the tokens at which the policy is least sure.",
    "clip_cov": "Clip-Cov leaves out a few of the tokens that would make the policy surer fastest.",
    "kl_cov": "KL-Cov holds back the tokens that would make the policy surer fastest.",
    "ppo": "PPO learns from every token alike, within a range around the policy that wrote the answers.",
    "reinforce": "REINFORCE makes every token of a right answer more likely and of a wrong one less likely.",
}
RULES = {
    "ppo": "learn, as long as the token's probability stays within the clip range",
    "encourage forking": "learn, also beyond the clip range: go on exploring at forks that led to right answers",
    "penalise forking": "learn, also below the clip range: go on leaving forks that led to wrong answers",
    "encourage forking release": "as encourage forking, with the authors' code's flipped sign beyond the range",
    "penalise forking release": "as penalise forking, with the authors' code's flipped sign below the range",
    "zero": "nothing is learnt from these tokens",
    "importance": "learn, weighted by how much likelier the token has become; no clip",
    "reinforce": "learn, without any weight",
    "gspo": "learn, as long as the whole answer stays within the clip range",
    "cispo": "learn, with a weight that is cut at the limit",
    "sapo": "learn, the less the further the policy has moved",
    "kl penalised": "learn, but pay for moving",
}
LEFT_OUT = re.compile(r"(lowest|highest) (\S+) % detached per (\w+)")
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


def objective_in_words(name: str | None) -> str:
    """One sentence; empty for an objective we do not know."""
    return OBJECTIVES.get(name or "", "")


def table_rows(table: list[str]) -> list[tuple[str, str, str, str]]:
    """Group, what is in it, its rule, and the rule in plain words, of every line of an objective's table."""
    rows = []
    for line in table:
        where, _, rule = line.partition(": ")
        group, _, levels = where.partition(" ")
        if not group.startswith("G") or not group[1:].isdigit():
            group, levels = "", where
        name, _, extra = rule.partition(", ")
        meaning = RULES.get(name.partition(" (")[0], "")
        left_out = LEFT_OUT.fullmatch(extra)
        if meaning and left_out:
            end, share, scope = left_out.groups()
            whose = "an answer's" if scope == "response" else "all"
            sure = "most" if end == "lowest" else "least"
            meaning += f"; but leave out the {share} % of {whose} tokens it was {sure} sure of"
        rows.append((group, levels, rule, meaning))
    return rows
