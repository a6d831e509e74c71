"""What a run's records show, computed: curves, tokens, words, findings."""
