"""OpenAI's GPT-2 family, fetched on request from the Hugging Face hub: which files, where they lie, how they come."""

from __future__ import annotations

import errno
import hashlib
from dataclasses import dataclass
from pathlib import Path

from tokentrace.model_files import SINGLE, ModelError, sha256

FILES = ("config.json", "tokenizer.json", SINGLE)
FETCH = "python -m tokentrace.models fetch"


@dataclass(frozen=True)
class Source:
    """A model on the hub at one commit, so that every class reads the same weights.

    Attributes
    ----------
    repository, revision : where it is; a commit names every byte.
    megabytes : about how much is fetched.
    weights : SHA-256 of its weight file, where we know it; the hub's own is checked in any case.
    """

    repository: str
    revision: str
    megabytes: int
    weights: str | None = None


MODELS = {
    "gpt2": Source(
        "openai-community/gpt2",
        "607a30d783dfa663caf39e06633721c8d4cfcd7e",
        550,
        "248dfc3911869ec493c76e65bf2fcf7f615828b0254c12b473182f0f81d3a707",
    ),
    "distilgpt2": Source(
        "distilbert/distilgpt2",
        "2290a62682d06624634c1f46a6ad5be0f47f38aa",
        354,
        "e1ff18884359fe8beb795a5f414feb85a6ce3d929ad019c0d958c039d2b94a1b",
    ),
    "gpt2-medium": Source("openai-community/gpt2-medium", "6dcaa7a952f72f9298047fd5137cd6e4f05f41da", 1521),
    "gpt2-large": Source("openai-community/gpt2-large", "32b71b12589c2f8d625668d2335a01cac3249519", 3249),
}


def cached() -> dict[str, Path]:
    """Names of the models that were fetched, and their folders in the Hugging Face cache."""
    return {name: folder for name in MODELS if (folder := find(name))}


def find(name: str) -> Path | None:
    """Folder of a fetched model, also of one that came under its old name, `gpt2` for `openai-community/gpt2`."""
    source = MODELS[name]
    for repository in (source.repository, name):
        if all((_snapshot(repository, source.revision) / file).is_file() for file in FILES):
            return _snapshot(repository, source.revision)
    return None


def fetch(name: str) -> Path:
    """Download a model into the Hugging Face cache and check it; what is there already is kept.

    An interrupted download goes on where it stopped, in this process or in another one.

    Raises
    ------
    ModelError
        If the name is unknown, the hub cannot be reached, the disk is full, or a file is not what it should be.
    """
    if name not in MODELS:
        raise ModelError(f"There is no {name!r} to fetch; there is: {', '.join(MODELS)}.")
    if found := find(name):
        return found
    source = MODELS[name]
    folder = _snapshot(source.repository, source.revision)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file in FILES:
            if not (folder / file).is_file():
                _fetch_file(source, file, folder)
    except ModelError:
        raise
    except Exception as error:  # an OSError, or one of the library that huggingface_hub speaks HTTP with
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            reason = f"the disk with {folder} is full: {name} takes {source.megabytes:,} MB"
        else:
            reason = f"{source.repository} could not be read; is there a network? ({_first_line(error)})"
        raise ModelError(f"Fetching {name} stopped: {reason}. What has come is kept; {FETCH} {name} goes on.") from None
    return folder


def _fetch_file(source: Source, file: str, folder: Path) -> None:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    url = hf_hub_url(source.repository, file, revision=source.revision)
    wanted = get_hf_file_metadata(url, token=False)
    # huggingface_hub's own download begins anew in every process; on a poor network that may be for ever.
    part = folder / f"{file}.part"
    with part.open("ab") as opened:
        http_get(
            wanted.location,
            opened,
            resume_size=opened.tell(),
            headers=build_hf_headers(token=False),  # all of them are public
            expected_size=wanted.size,
            displayed_filename=f"{source.repository} {file}",
        )
    expected = {wanted.etag} | ({source.weights} if file == SINGLE and source.weights else set())
    if not expected <= {sha256(part), _git_sha1(part)}:
        part.unlink()
        raise ModelError(f"{file} of {source.repository} came damaged and was thrown away; fetch it again.")
    part.replace(folder / file)


def _git_sha1(path: Path) -> str:
    """How git, and so the hub, names a small file."""
    content = path.read_bytes() if path.stat().st_size < 1 << 25 else b""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _snapshot(repository: str, revision: str) -> Path:
    """Folder of one commit, as huggingface_hub lays it out."""
    from huggingface_hub import constants  # cheap; the rest of the package comes with the first download

    return Path(constants.HF_HUB_CACHE, f"models--{repository.replace('/', '--')}", "snapshots", revision)


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}".rstrip(".: ")
