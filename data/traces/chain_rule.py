"""The texts of chapter 1, scored: called by record.py."""

from pathlib import Path

from tokentrace.chain_rule import score
from tokentrace.lm import GPT2

TEXTS = {
    "chain_rule": "The fisherman tied his boat to the old stone bridge and walked home in the rain.",
    "chain_rule_before": "On a cold winter night the king rode back to the castle because he was afraid of the dark.",
    "chain_rule_after": "On a cold winter night the queen rode back to the castle because he was afraid of the dark.",
    "chain_rule_prompt": "I love cats",
    # Long enough that even double precision cannot hold its probability.
    "chain_rule_long": (
        "There was once a clockmaker who lived above his shop at the end of a narrow street. Every morning he wound "
        "forty clocks, and every evening he listened to them, one after the other, to hear which of them was tired. "
        "One winter a stranger came in from the snow and put a small brass clock on the table. It had no hands. "
        '"Can you mend it?" asked the stranger. The clockmaker opened the back, looked at the wheels for a long time, '
        'and shook his head. "Nothing is broken," he said. "It runs, and it strikes. It only does not tell anybody '
        'what the time is." The stranger smiled. "My father built it so," he said. "He was a sailor, and he had been '
        'late for everything in his life. But when he was old he wanted to hear the hours without counting them." '
        "The clockmaker thought about this all night. In the morning he gave the clock back and asked for no money. "
        "Then he took the hands from one of his own forty clocks, hung it over the door, and went out for a walk "
        "along the frozen river, slowly, for the first time in twenty years, without once looking at his watch. "
        "The children who met him on the ice said that he was singing, and that he sang badly."
    ),
}


def record_scores(model: GPT2, folder: Path):
    """Write every scored text into `folder`."""
    for name, text in TEXTS.items():
        scored = score(model, text)
        print(f"{scored.save(folder / f'{name}.json').name}: {len(scored.tokens)} tokens, {scored.logprob:.1f} nats")
