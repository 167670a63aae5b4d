"""What all views share: a guard against typing errors and against what a browser may send."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, ClassVar

import anywidget
import traitlets


class View(anywidget.AnyWidget):
    """A widget whose state the browser may change only where its class allows it.

    Attributes
    ----------
    from_browser : traits that the browser may set.
    messages : types of message it may send; type `x` goes to the method `on_x`.
    """

    from_browser: ClassVar[frozenset[str]] = frozenset()
    messages: ClassVar[frozenset[str]] = frozenset({"ping"})

    error = traitlets.Unicode(help="a sentence for the reader; empty when all is well").tag(sync=True)

    def __init__(self, **traits):
        if unknown := traits.keys() - set(self.trait_names()):
            raise TypeError(f"{type(self).__name__} has no setting {min(unknown)!r}.")
        self._tasks: set[asyncio.Task] = set()
        super().__init__(**traits)
        self.on_msg(self._receive)

    def set_state(self, sync_data: dict[str, Any]):
        """Take over what the browser sets, if it may; a value that is refused is sent back as it was."""
        for name in self.from_browser & sync_data.keys():
            try:
                super().set_state({name: sync_data[name]})
            except traitlets.TraitError:
                self.send_state(name)

    def start(self, work: Coroutine):
        """Run a coroutine beside the page's other work and keep it alive until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def say(self, sentence: str):
        """Show a sentence, also when it is the one that was shown last."""
        self.error = ""
        self.error = sentence

    def on_ping(self, message: dict):
        """Say that the kernel lives."""
        self.send({"type": "pong", "request": message.get("request")})

    def _receive(self, _widget: Any, message: Any, _buffers: Any):
        kind = message.get("type") if isinstance(message, dict) else None
        if isinstance(kind, str) and kind in self.messages:
            getattr(self, f"on_{kind}")(message)
