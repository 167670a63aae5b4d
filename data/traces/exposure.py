"""The two lanes that chapter 3 opens with, greedy and sampled, and an error of each kind put into them."""

from pathlib import Path

from tokentrace.two_lanes import put_error, run_lanes

EARLIEST = 4  # some way into the text, and most of it still to come
SETTINGS = {"exposure": {}, "exposure_sampled": {"strategy": "sample", "temperature": 0.8, "top_p": 0.9}}


def record_lanes(model, folder: Path):
    """Write the lanes of the lesson into `folder`, with the errors that are offered at one place."""
    for name, settings in SETTINGS.items():
        lanes = run_lanes(model, **settings)
        words = [place for place, token in enumerate(lanes.own) if lanes.token_text(token).strip().isalpha()]
        late = [place for place in words if place >= EARLIEST] or range(len(lanes.own))
        at = max(late, key=lambda place: (len(lanes.offered(place)), -place))
        for kind, token in lanes.offered(at).items():
            lanes = put_error(model, lanes, at, token, kind)
        print(f"{lanes.save(folder / f'{name}.json').name}: {''.join(map(lanes.token_text, lanes.own))!r}")
