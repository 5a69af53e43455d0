"""Everything that travels with a checkpoint: configuration, tokenizer and models, in one flat folder."""
