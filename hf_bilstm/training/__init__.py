"""Training: recipes, the run, its scores and pictures."""
