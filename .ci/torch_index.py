"""Print where pip should also look for torch: PyTorch's CPU builds, if they can be reached from here.

On Linux the usual index gives torch with gigabytes of CUDA. Where the CPU index does not answer, pip takes
torch from whatever it is set up to use, and nothing is printed.
"""

import sys
import threading
import urllib.request

INDEX = "https://download.pytorch.org/whl/cpu"
PATIENCE = 5  # seconds, all in all: also for a network that swallows every packet


def answers(url: str) -> bool:
    """Whether something is served there, asked in a thread because a name look-up knows no time limit."""
    heard = []

    def ask():
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE) as reply:
                heard.append(reply.status == 200)
        except OSError:
            heard.append(False)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    return any(heard)


if __name__ == "__main__" and sys.platform == "linux" and answers(f"{INDEX}/torch/"):
    print(f"--extra-index-url {INDEX}")
