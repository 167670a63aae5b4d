"""What a training run reports: a line of progress, a history as JSON lines, and a picture of the loss."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


class History:
    """Records of one run, one JSON object a line, kept in step with its checkpoints.

    Each record has step, tokens, minutes, and either loss (mean since the last record), rate and
    tokens_per_s, or held_out (loss on the fixed held-out windows). Losses are nats per token.
    """

    def __init__(self, folder: Path, step: int):
        self.path, self.picture = folder / "history.jsonl", folder / "loss.png"
        lines = self.path.read_text().splitlines() if self.path.exists() else []
        # What a stopped run wrote after its last checkpoint will happen again: it is forgotten here.
        self.records = [record for record in map(json.loads, lines) if record["step"] <= step]
        self.path.write_text("".join(json.dumps(record) + "\n" for record in self.records))

    def add(self, **record) -> None:
        """Append one record and save it."""
        self.records.append(record)
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")

    def draw(self) -> None:
        """Save the loss curve as a picture beside the history."""
        figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
        for name, label in (("loss", "training text"), ("held_out", "held-out text")):
            points = [(record["tokens"] / 1e6, record[name]) for record in self.records if name in record]
            if points:
                axes.plot(*zip(*points, strict=True), label=label, marker="o" if name == "held_out" else None, ms=3)
        axes.set(xlabel="tokens read (millions)", ylabel="loss (nats per token)", title=self.path.parent.name)
        axes.set_ylim(top=min(7.0, axes.get_ylim()[1]))
        axes.grid(alpha=0.3)
        axes.legend()
        figure.savefig(self.picture, dpi=120)
        pyplot.close(figure)


def duration(seconds: float | None) -> str:
    """Word a time as `2 h 05 min`, `12 min` or `40 s`; `no end set` for None."""
    if seconds is None:
        return "no end set"
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{max(0.0, seconds):.0f} s"
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def show(line: str, *, lasting: bool = False) -> None:
    """Print a line of progress: on a terminal the next one takes its place unless `lasting`; a log keeps all."""
    if sys.stdout.isatty():
        print(f"\r\033[K{line}", end="\n" if lasting else "", flush=True)
    else:
        print(line, flush=True)
