"""Train a tagger from a recipe: the command `hf-bilstm train` as a script."""

import sys

from hf_bilstm.cli import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
