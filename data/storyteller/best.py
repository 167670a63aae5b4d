"""Choose from the sweep's runs on the usual vocabulary, and print the choice as options for train.py."""

import json

from prepare import cache_folder

TIE = 0.02  # nats; short runs favour high rates, so the lowest of those as good as the best is taken


def results() -> list[tuple[float, float, str]]:
    """Last held-out loss, rate and optimizer of every finished run of the sweep."""
    found = []
    for folder in sorted((cache_folder() / "runs").glob("sweep-*")):
        settings = json.loads((folder / "settings.json").read_text())
        records = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
        losses = [record["held_out"] for record in records if "held_out" in record]
        if settings["vocabulary"] == 8192 and losses:
            found.append((losses[-1], settings["rate"], settings["optimizer"]))
    return found


def main() -> None:
    """Print the choice."""
    found = results()
    lowest, _, optimizer = min(found)
    rate = min(rate for loss, rate, kind in found if kind == optimizer and loss < lowest + TIE)
    print(f"--optimizer {optimizer} --rate {rate:g}")


if __name__ == "__main__":
    main()
