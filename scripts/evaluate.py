"""Score a trained tagger: the command `hf-bilstm evaluate` as a script."""

import sys

from hf_bilstm.cli import main

if __name__ == "__main__":
    main(["evaluate", *sys.argv[1:]])
