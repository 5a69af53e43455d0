"""Tag raw text: the command `hf-bilstm predict` as a script."""

import sys

from hf_bilstm.cli import main

if __name__ == "__main__":
    main(["predict", *sys.argv[1:]])
