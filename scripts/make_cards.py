"""Put the cards of trained folders into model_cards/.

python scripts/make_cards.py outputs/quickstart outputs/resume_ner
"""

import re
import sys
from pathlib import Path

if __name__ == "__main__":
    cards = Path("model_cards")
    cards.mkdir(exist_ok=True)
    for folder in map(Path, sys.argv[1:]):
        text = (folder / "README.md").read_text(encoding="utf-8")
        without_pictures = re.sub(r"\n!\[.*?\]\(\w+\.png\)\n", "", text)
        (cards / f"{folder.name}.md").write_text(without_pictures, encoding="utf-8")
        print(cards / f"{folder.name}.md")
