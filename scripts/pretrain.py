"""Pretrain on raw text: the command `hf-bilstm pretrain` as a script."""

import sys

sys.path.pop(0)  # this folder, whose evaluate.py would stand in for the library of that name

from hf_bilstm.cli import main

if __name__ == "__main__":
    main(["pretrain", *sys.argv[1:]])
