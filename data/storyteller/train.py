"""Train a small GPT-2 from scratch, over as many sittings as it takes.

    python data/storyteller/train.py --name storyteller --layers 8 --width 384 --heads 6

Runs at a constant rate until it is stopped (Ctrl-C or SIGTERM) or `--minutes` or `--tokens` are over, and
goes on from its last checkpoint the next time. See README.md beside this file for the whole recipe.
"""

import argparse
import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from pathlib import Path

import attention  # noqa: F401  registers the name `blockwise`
import torch
from batches import Batches, held_out_windows, read_ids
from losses import head_loss
from prepare import cache_folder
from progress import History, duration, show
from transformers import GPT2Config, GPT2LMHeadModel

FLOOR = 0.02  # of the full rate, where a decay ends
LONGEST_STEP = 30.0  # seconds; a step that took longer was a pause (kill -STOP), and the clock leaves it out


def new_model(layers: int, width: int, heads: int, vocabulary: int, context: int) -> GPT2LMHeadModel:
    """Make an untrained GPT-2 without dropout (one or a few passes over the text leave little to regularise)."""
    config = GPT2Config(
        vocab_size=vocabulary, n_positions=context, n_embd=width, n_layer=layers, n_head=heads,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0, use_cache=False,
        # GPT-2's own GELU by its other name: one kernel instead of eight.
        activation_function="gelu_pytorch_tanh", attn_implementation="blockwise",
    )  # fmt: skip
    return GPT2LMHeadModel(config)


def optimizers(model: GPT2LMHeadModel, kind: str, rate: float) -> list[torch.optim.Optimizer]:
    """AdamW on everything, or Muon on the matrices inside the layers and AdamW on the rest."""
    matrices = [weight for name, weight in model.named_parameters() if ".h." in name and weight.ndim == 2]
    tables = [model.transformer.wte.weight, model.transformer.wpe.weight]
    vectors = [weight for weight in model.parameters() if weight.ndim == 1]
    if kind == "adamw":
        groups = [{"params": matrices + tables, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
        return [torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.95), fused=True)]
    return [
        # match_rms_adamw: updates as large as AdamW's, so that one rate suits both.
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(tables + vectors, lr=rate, betas=(0.9, 0.95), weight_decay=0.0, fused=True),
    ]


def newest_checkpoint(folder: Path) -> dict | None:
    """Load the last checkpoint of the run in `folder`; None if there is none."""
    paths = sorted(folder.glob("step-*.pt"))
    return torch.load(paths[-1], weights_only=True) if paths else None


def exported(folder: Path) -> dict:
    """Read a model that export.py wrote as a checkpoint without optimizers: a later sitting can go on from it."""
    model = GPT2LMHeadModel.from_pretrained(folder, dtype=torch.float32)
    config, record = model.config, json.loads((folder / "training.json").read_text())
    shape = {
        "layers": config.n_layer, "width": config.n_embd, "heads": config.n_head,
        "vocabulary": config.vocab_size, "context": config.n_positions,
    }  # fmt: skip
    # Step 0: the optimizers know nothing yet, so the rate warms up again.
    return {**record, "shape": shape, "model": model.state_dict(), "optimizers": [], "step": 0, "factor": 1.0}


class Clock:
    """How far this sitting has come, and the rate that follows: warm-up, then constant, then linear decay."""

    def __init__(self, given: argparse.Namespace, tokens: int, factor: float):
        self.given, self.start_tokens, self.seconds, self.start_factor = given, tokens, 0.0, factor
        self.span = given.decay_tokens * 1e6 if given.tokens else given.decay_minutes * 60
        left = self.left(tokens)
        # A decay that an earlier sitting began goes on from the rate that it had reached.
        self.span = self.span if left is None else min(self.span, left)

    def left(self, tokens: int) -> float | None:
        """Tokens or seconds until the end of this sitting; None if no end is set."""
        if self.given.tokens:
            return self.given.tokens * 1e6 - tokens
        return self.given.minutes * 60 - self.seconds if self.given.minutes else None

    def over(self, tokens: int) -> bool:
        """Tell whether the sitting is at its end."""
        left = self.left(tokens)
        return left is not None and left <= 0

    def seconds_left(self, tokens: int) -> float | None:
        """Estimate the time left from the speed of this sitting so far."""
        left = self.left(tokens)
        if left is None or not self.given.tokens:
            return left
        return left * self.seconds / max(1, tokens - self.start_tokens)

    def factor(self, tokens: int) -> float:
        """Share of the full rate, without the warm-up: 1 until the decay begins, `FLOOR` at its end."""
        left = self.left(tokens)
        if left is None or not self.span:
            return self.start_factor
        return FLOOR + (self.start_factor - FLOOR) * min(1.0, max(0.0, left) / self.span)


class Run:
    """One model in training: everything that a checkpoint holds, and the steps that change it."""

    def __init__(self, given: argparse.Namespace, folder: Path):
        self.given, self.folder = given, folder
        torch.manual_seed(given.seed)
        saved = newest_checkpoint(folder)
        if saved is None and given.start:
            is_model = (Path(given.start) / "training.json").exists()
            saved = exported(Path(given.start)) if is_model else newest_checkpoint(folder.parent / given.start)
        if given.start and saved is None:
            raise SystemExit(
                f"Run {given.start} has no checkpoint to start from, and is no model that export.py wrote."
            )
        self.shape = saved["shape"] if saved else {
            "layers": given.layers, "width": given.width, "heads": given.heads,
            "vocabulary": given.vocabulary, "context": given.context,
        }  # fmt: skip
        self.model = new_model(**self.shape)
        kind = saved["optimizer"] if saved else given.optimizer
        rate = given.rate or (saved["rate"] if saved else 3e-3)
        self.rate, self.kind, self.optimizers = rate, kind, optimizers(self.model, kind, rate)
        self.step, self.tokens, self.seconds, self.factor, taken = 0, 0, 0.0, 1.0, 0
        if saved:
            self.model.load_state_dict(saved["model"])
            if saved["optimizers"]:
                for optimizer, state in zip(self.optimizers, saved["optimizers"], strict=True):
                    optimizer.load_state_dict(state)
            self.step, self.tokens, self.seconds = saved["step"], saved["tokens"], saved["seconds"]
            self.factor, taken = saved["factor"], saved["windows"]
        ids = cache_folder() / f"ids-{self.shape['vocabulary']}"
        if not (ids / "train.bin").exists():
            raise SystemExit(f"No token ids in {ids}. Make them first: prepare.py --vocabulary {ids.name[4:]}")
        text = read_ids(*(ids / f"{name}.bin" for name in given.text))
        self.batches = Batches(text, self.shape["context"], given.batch, given.seed, taken)
        self.held_out = held_out_windows(read_ids(ids / "valid.bin"), self.shape["context"], given.held_out)
        self.history = History(self.folder, self.step)
        self.teacher = GPT2LMHeadModel.from_pretrained(given.teacher, dtype=torch.float32) if given.teacher else None
        if self.teacher and self.teacher.config.vocab_size != self.shape["vocabulary"]:
            raise SystemExit(f"{given.teacher} has another vocabulary: it cannot teach this model.")
        self.body = torch.compile(self.model.transformer) if given.compile else self.model.transformer

    def save(self) -> None:
        """Write a checkpoint whole or not at all, and keep the last two."""
        path = self.folder / f"step-{self.step:08d}.pt"
        state = {
            "shape": self.shape, "optimizer": self.kind, "rate": self.rate,
            "model": self.model.state_dict(), "optimizers": [each.state_dict() for each in self.optimizers],
            # Nothing is drawn at random after the start: the place in the text is all the luck there is.
            "step": self.step, "tokens": self.tokens, "seconds": self.seconds, "factor": self.factor,
            "windows": self.batches.taken,
        }  # fmt: skip
        torch.save(state, path.with_suffix(".part"))
        path.with_suffix(".part").replace(path)
        for old in sorted(self.folder.glob("step-*.pt"))[:-2]:
            old.unlink()

    def losses(self, windows: torch.Tensor, teacher: GPT2LMHeadModel | None = None):
        """Loss to train on and cross-entropy of windows [batch, context + 1], both in nats per token."""
        inputs, targets = windows[:, :-1], windows[:, 1:]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            soft = None
            if teacher is not None:
                with torch.no_grad():
                    soft = teacher.transformer(inputs).last_hidden_state, teacher.lm_head.weight
            hidden = self.body(inputs).last_hidden_state
        given = self.given
        return head_loss(hidden, self.model.lm_head.weight, targets, soft, given.temperature, given.mix)

    def train_step(self) -> float:
        """Learn from one batch; returns its cross-entropy."""
        rate = self.rate * self.factor * min(1.0, (self.step + 1) / self.given.warm_up)
        loss, cross_entropy = self.losses(self.batches.next(), self.teacher)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0, error_if_nonfinite=True)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            optimizer.zero_grad()
        self.step += 1
        self.tokens += self.given.batch * self.shape["context"]
        return cross_entropy.item()

    @torch.no_grad()
    def held_out_loss(self) -> float:
        """Cross-entropy on the fixed held-out windows, in nats per token."""
        parts = self.held_out.split(self.given.batch)
        return sum(self.losses(part)[1].item() * len(part) for part in parts) / len(self.held_out)

    def report(self, losses: list[float], seconds: float, seconds_left: float | None) -> None:
        """Record and show the steps since the last report: their losses, the seconds that they took."""
        loss, rate = sum(losses) / len(losses), self.optimizers[0].param_groups[0]["lr"]
        speed = round(len(losses) * self.given.batch * self.shape["context"] / seconds)
        self.record(loss=round(loss, 4), rate=rate, tokens_per_s=speed)
        passes = self.batches.taken / self.batches.per_epoch
        show(
            f"step {self.step:,}  {self.tokens / 1e6:.2f}M tokens ({passes:.2f} passes)  loss {loss:.3f}  "
            f"rate {rate:.1e}  {speed:,} tokens/s  left: {duration(seconds_left)}"
        )

    def measure(self) -> None:
        """Record and show the held-out loss, draw the curve."""
        loss = self.held_out_loss()
        self.record(held_out=round(loss, 5))
        self.history.draw()
        show(f"step {self.step:,}  held-out loss {loss:.4f}", lasting=True)

    def record(self, **values: float) -> None:
        """Add to the history, with the step, the tokens read and the minutes trained so far."""
        self.history.add(step=self.step, tokens=self.tokens, minutes=round(self.seconds / 60, 2), **values)


def train(run: Run) -> bool:
    """Train until the sitting is over; returns False if a signal ended it early."""
    given, clock, recent, shown, saved = run.given, Clock(run.given, run.tokens, run.factor), [], 0.0, 0.0
    with stop_signals() as stop:
        while not stop and not clock.over(run.tokens):
            began = time.monotonic()
            recent.append(run.train_step())
            took = min(LONGEST_STEP, time.monotonic() - began)
            clock.seconds += took
            run.seconds += took
            run.factor = clock.factor(run.tokens)
            if run.step % given.report == 0:
                run.report(recent, clock.seconds - shown, clock.seconds_left(run.tokens))
                shown, recent = clock.seconds, []
            if run.step % given.measure_every == 0:
                run.measure()
            if clock.seconds - saved > given.save_every:
                run.save()
                saved = clock.seconds
        run.save()
        if not stop and run.step % given.measure_every:
            run.measure()
    return not stop


@contextlib.contextmanager
def pid_file(folder: Path):
    """Hold `train.pid` in the run's folder: for pausing it from outside, and so that nobody trains it twice."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "train.pid").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SystemExit(f"This run is in training already: see {file.name}.") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        try:
            yield
        finally:
            Path(file.name).unlink()


@contextlib.contextmanager
def stop_signals():
    """Yield a list that fills when Ctrl-C or SIGTERM asks to stop, instead of stopping at once."""
    asked: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda number, _: asked.append(number)) for number in numbers]
    try:
        yield asked
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def arguments() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--name", required=True, help="run: its folder of checkpoints in the cache")
    add(
        "--start",
        metavar="RUN",
        help="begin a new run from another one's last checkpoint, or from an exported model's folder",
    )
    for name, value in (("layers", 8), ("width", 384), ("heads", 6), ("vocabulary", 8192), ("context", 512)):
        add(f"--{name}", type=int, default=value, help=f"shape of a new model (default {value})")
    add("--optimizer", choices=["adamw", "muon"], default="muon", help="of a new run (default muon)")
    add("--rate", type=float, help="full learning rate (default: the run's own, 3e-3 for a new one)")
    add("--batch", type=int, default=8, help="windows a step (default 8)")
    add("--warm-up", type=int, default=100, metavar="STEPS")
    end = parser.add_mutually_exclusive_group()
    end.add_argument("--minutes", type=float, default=0, help="length of this sitting (default: until stopped)")
    end.add_argument("--tokens", type=float, default=0, help="millions of tokens of the whole run")
    add("--decay-minutes", type=float, default=0, help="with --minutes: the last ones, at a falling rate")
    add("--decay-tokens", type=float, default=0, help="with --tokens: the last millions, at a falling rate")
    add("--text", nargs="+", default=["train"], metavar="NAME", help="files of ids to read (default train)")
    add("--teacher", type=Path, metavar="FOLDER", help="exported model to distil from")
    add("--temperature", type=float, default=1.0, help="of the soft targets (default 1)")
    add("--mix", type=float, default=0.9, help="weight of the soft targets against the text (default 0.9)")
    add("--report", type=int, default=25, metavar="STEPS", help="between progress lines (default 25)")
    add("--measure-every", type=int, default=500, metavar="STEPS", help="between held-out losses (default 500)")
    add("--held-out", type=int, default=64, metavar="WINDOWS", help="of held-out text to measure on (default 64)")
    add("--save-every", type=float, default=240, metavar="SECONDS", help="between checkpoints (default 240)")
    add("--threads", type=int, default=os.cpu_count(), help="processor cores to use")
    add("--seed", type=int, default=0)
    add("--compile", action="store_true", help="try torch.compile on the layers")
    return parser


def main() -> None:
    """Read the command line and train."""
    given = arguments().parse_args()
    torch.set_num_threads(given.threads)
    if given.compile:
        # A machine without a C++ compiler trains all the same, a little slower.
        torch._dynamo.config.suppress_errors = True
    folder = cache_folder() / "runs" / given.name
    with pid_file(folder):
        run = Run(given, folder)
        n_parameters = sum(weight.numel() for weight in run.model.parameters())
        settings = {"parameters": n_parameters, **run.shape, "optimizer": run.kind, "rate": run.rate}
        (run.folder / "settings.json").write_text(json.dumps(settings, indent=1) + "\n")
        print(f"{given.name}: {n_parameters / 1e6:.1f}M parameters, {run.kind} at {run.rate:g}", flush=True)
        if run.step:
            print(f"going on from step {run.step:,}", flush=True)
        finished = train(run)
    sys.exit(0 if finished else 128 + signal.SIGTERM)


if __name__ == "__main__":
    main()
