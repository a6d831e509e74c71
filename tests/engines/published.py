"""What the paper (arXiv 2605.08283) sets, for every recipe that follows it."""

HTPO_OPTIONS = {
    "variant": "paper",
    "clip_low": 0.2,
    "clip_high": 0.28,
    "dual_clip": 10.0,
    "difficulty_threshold": 0.4,
    "high_entropy_fraction": 0.2,
    "detach_lowest": 0.006,
    "detach_highest": 0.02,
    "entropy_scope": "response",
}
