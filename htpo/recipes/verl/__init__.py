"""Recipes that verl finds as `--config-path pkg://htpo.recipes.verl` (docs/verl-cluster.md)."""
