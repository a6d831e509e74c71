"""A training loop of one's own, in plain PyTorch: `python examples/own_training_loop.py` (seconds on a CPU).

A policy of a few thousand parameters learns to write the digit it is shown at least twice among six. HTPO's
groups need quantiles of entropy over the whole batch, while the gradient is taken in micro-batches: the cuts are taken
once, and every micro-batch gets them.
"""

import torch
from torch import nn
from torch.nn.functional import one_hot

from htpo.objectives import TokenBatch, add_sums, group_relative_advantage, make_objective, summarize, token_mean

DIGITS, LENGTH, WANTED = 10, 6, 2
PROMPTS, SAMPLES, UPDATES = 32, 8, 2  # prompts of a generation, responses to each, updates on them


class Policy(nn.Module):
    """Logits of the next digit, from the prompt and the digits so far."""

    def __init__(self, width: int = 32):
        super().__init__()
        self.cell = nn.GRU(2 * DIGITS, width, batch_first=True)
        self.head = nn.Linear(width, DIGITS)

    def forward(self, prompt: torch.Tensor, response: torch.Tensor) -> torch.Tensor:
        """(B,) prompts and (B, T) responses to (B, T, digits) logits."""
        before = one_hot(response, DIGITS).roll(1, dims=1)
        before[:, 0] = 0  # nothing stands before the first digit
        shown = one_hot(prompt, DIGITS).unsqueeze(1).expand_as(before)
        return self.head(self.cell(torch.cat([shown, before], -1).float())[0])


def score(policy: Policy, prompt: torch.Tensor, response: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probability of every token, with gradient, and the entropy of its distribution."""
    log_probs = policy(prompt, response).log_softmax(-1)
    entropy = -(log_probs.exp() * log_probs).sum(-1)
    return log_probs.gather(-1, response.unsqueeze(-1)).squeeze(-1), entropy


class Generation:
    """Responses to some prompts, several to each, and what is known of them."""

    @torch.no_grad()
    def __init__(self, policy: Policy):
        self.prompt = torch.randint(DIGITS, (PROMPTS,)).repeat_interleave(SAMPLES)
        self.response = torch.zeros(len(self.prompt), LENGTH, dtype=torch.long)
        for place in range(LENGTH):
            logits = policy(self.prompt, self.response)[:, place]
            self.response[:, place] = torch.distributions.Categorical(logits=logits).sample()
        self.old_log_prob, _ = score(policy, self.prompt, self.response)
        self.correct = (self.response == self.prompt.unsqueeze(1)).sum(1) >= WANTED
        self.accuracy = self.correct.float().view(PROMPTS, SAMPLES).mean(1).repeat_interleave(SAMPLES)
        self.advantage = group_relative_advantage(self.correct.float(), SAMPLES)

    def token_batch(self, policy: Policy, rows: slice) -> TokenBatch:
        """Some of the responses, as the policy sees them now."""
        log_prob, entropy = score(policy, self.prompt[rows], self.response[rows])
        return TokenBatch(
            log_prob=log_prob,
            old_log_prob=self.old_log_prob[rows],
            advantage=self.advantage[rows],
            entropy=entropy,
            mask=torch.ones_like(log_prob, dtype=torch.bool),  # every digit was sampled
            correct=self.correct[rows],
            group_accuracy=self.accuracy[rows],
        )


def main(generations: int = 20, micro_batch: int = 64) -> list[float]:
    """Train; returns the accuracy of each generation, which `micro_batch` does not change."""
    torch.manual_seed(0)
    policy = Policy()
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-2)
    objective = make_objective("htpo", entropy_scope="batch")
    accuracies = []
    for number in range(1, generations + 1):
        drawn = Generation(policy)
        accuracies.append(float(drawn.correct.float().mean()))
        for _ in range(UPDATES):
            with torch.no_grad():
                cuts = objective.partition(drawn.token_batch(policy, slice(None))).cuts  # of the whole batch
            sums = []
            for start in range(0, len(drawn.prompt), micro_batch):
                batch = drawn.token_batch(policy, slice(start, start + micro_batch))
                out = objective(batch, cuts)
                token_mean(-out.value, batch.mask, denominator=drawn.response.numel()).backward()
                sums.append(out.sums)
            optimizer.step()
            optimizer.zero_grad()
        if number % 5 == 0:
            stats = summarize(add_sums(sums))
            encouraged, penalised = (stats[f"group/{group}/token_share"] for group in ("G2", "G4"))
            print(
                f"generation {number:2d}: accuracy {accuracies[-1]:.2f}, entropy {stats['entropy']:.2f} nats; share of "
                f"tokens in G2 (hard correct high) {encouraged:.1%}, in G4 (hard wrong high) {penalised:.1%}"
            )
    return accuracies


if __name__ == "__main__":
    main()
