"""Draw scores over shares of the labelled data, with and without a pretrained model.

    python scripts/learning_curve.py outputs/curve.json docs/images/pretraining.png

The first file is what scripts/ablation.py writes for rows that set `train_fraction`, and `model_name_or_path` where
they start from a pretrained model. A point is the mean over seeds; the band is from the least to the most.
"""

import argparse
import json
from pathlib import Path
from statistics import fmean


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scores", help="JSON file of scripts/ablation.py")
    parser.add_argument("picture", help="PNG file to write")
    own = parser.parse_args()
    from matplotlib.figure import Figure

    rows = json.loads(Path(own.scores).read_text(encoding="utf-8"))["rows"]
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, color in (("pretrained", "tab:blue"), ("from nothing", "tab:gray")):
        points = sorted(
            (row["change"]["train_fraction"], row["scores"])
            for row in rows
            if "train_fraction" in row["change"] and ("model_name_or_path" in row["change"]) == (name == "pretrained")
        )
        shares = [share for share, _ in points]
        axes.plot(shares, [fmean(scores) for _, scores in points], "o-", color=color, label=name)
        least, most = [min(scores) for _, scores in points], [max(scores) for _, scores in points]
        axes.fill_between(shares, least, most, color=color, alpha=0.15, linewidth=0)
        for share, scores in points:
            axes.annotate(
                f"{fmean(scores):.1f}",
                (share, fmean(scores)),
                xytext=(0, 6 if name == "pretrained" else -13),
                textcoords="offset points",
                ha="center",
                fontsize=8,
                color=color,
            )
    axes.set_xscale("log", base=2)
    axes.set_xticks(shares, [f"{share:.3g}" for share in shares])
    axes.set_xlabel("share of the labelled sentences")
    axes.set_ylabel("development score, percent")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, loc="lower right")
    figure.savefig(own.picture, dpi=150)


if __name__ == "__main__":
    main()
