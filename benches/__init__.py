"""How fast tokentrace is, beside transformers: `python -m benches`."""
