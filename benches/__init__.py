"""How fast tokentrace is, beside transformers: `python -m benches`."""

import tokentrace  # noqa: F401  (before torch, because it says how threads wait and how memory is laid out)
