"""Put the cards of trained folders into model_cards/.

    python scripts/make_cards.py outputs/quickstart outputs/resume_ner

Pictures, which stay in the folders, are left out.
"""

import argparse
import re
from pathlib import Path

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, help="folders that `hf-bilstm train` left")
    cards = Path("model_cards")
    cards.mkdir(exist_ok=True)
    for folder in parser.parse_args().folders:
        text = (folder / "README.md").read_text(encoding="utf-8")
        without_pictures = re.sub(r"\n!\[.*?\]\(\w+\.png\)\n", "", text)
        (cards / f"{folder.name}.md").write_text(without_pictures, encoding="utf-8")
        print(cards / f"{folder.name}.md")
