"""Models of the hub: found in its cache, fetched from a server on this machine, and never behind the reader's back."""

import errno
import hashlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from benches.shapes import write_model
from tokentrace import hub, models
from tokentrace.model_files import ModelError

SHAPE = {"vocab_size": 300, "n_positions": 8, "n_embd": 32, "n_layer": 2, "n_head": 2}


class FakeHub(BaseHTTPRequestHandler):
    """Answers like the hub: the weights with their SHA-256 as ETag, small files with git's name for them."""

    def do_HEAD(self):
        self.answer(head=True)

    def do_GET(self):
        self.answer(head=False)

    def answer(self, head):
        server = self.server
        content = server.files.get(self.path.rpartition("/")[2])
        if content is None or not self.path.startswith("/openai-community/gpt2/resolve/" + "a" * 40):
            return self.send_error(404)
        if server.dead and not head:
            return self.send_error(500)
        large = self.path.endswith(".safetensors")
        name = hashlib.sha256(content) if large else hashlib.sha1(b"blob %d\0" % len(content) + content)
        start = int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").partition("-")[0])
        if not head:
            server.asked.append((self.path.rpartition("/")[2], start))
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{name.hexdigest()}"')
        self.send_header("X-Repo-Commit", "a" * 40)
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if not head:
            body = server.sent.get(self.path.rpartition("/")[2], content)[start:]
            if large and server.breaks_after and start < server.breaks_after:
                server.dead = True
                body = body[: server.breaks_after]
            self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    from huggingface_hub import constants

    folder = write_model(tmp_path / "original", **SHAPE)
    serving = ThreadingHTTPServer(("127.0.0.1", 0), FakeHub)
    serving.files = {file: (folder / file).read_bytes() for file in hub.FILES}
    serving.sent, serving.asked, serving.dead, serving.breaks_after = {}, [], False, 0
    threading.Thread(target=serving.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{serving.server_port}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 4096)  # of real ones, the last 10 MB may be lost
    weights = hashlib.sha256(serving.files["model.safetensors"]).hexdigest()
    monkeypatch.setattr(hub, "MODELS", {"gpt2": hub.Source("openai-community/gpt2", "a" * 40, 1, weights)})
    yield serving
    serving.shutdown()
    serving.server_close()


def test_a_model_that_is_missing_says_how_to_fetch_it(server):
    """Catches: a stack trace, or a silent download."""
    assert "gpt2" not in models.available()
    with pytest.raises(ModelError, match=r"python -m tokentrace\.models fetch gpt2$"):
        models.open_model("gpt2")
    assert server.asked == []


def test_fetched_once_and_opened_by_name(server, tmp_path, capsys):
    """Catches: a fetched model that no menu offers, one fetched again, one named by its commit."""
    models.main(["fetch", "gpt2"])
    assert list(models.available())[-1] == "gpt2"
    model = models.open_model("gpt2")
    assert model.name == "gpt2" and model.forward([[1, 2, 3]]).shape == (1, 3, 300)
    assert model.folder == tmp_path / "cache" / "models--openai-community--gpt2" / "snapshots" / ("a" * 40)
    assert sorted(file.name for file in model.folder.iterdir()) == sorted(hub.FILES)
    asked = list(server.asked)
    models.main(["fetch", "gpt2"])
    assert server.asked == asked
    capsys.readouterr()
    models.main([])
    size = f"{(model.folder / 'model.safetensors').stat().st_size / 1e6:.1f} MB"
    assert any(line.startswith("gpt2 ") and size in line for line in capsys.readouterr().out.splitlines())


def test_what_came_under_the_old_name_is_found(server, tmp_path):
    """Catches: half a gigabyte fetched again because a tutorial called it `gpt2`."""
    hub.fetch("gpt2")
    (tmp_path / "cache" / "models--openai-community--gpt2").rename(tmp_path / "cache" / "models--gpt2")
    assert models.find("gpt2").parts[-3] == "models--gpt2"


def test_an_interrupted_download_goes_on(server):
    """Catches: a download that begins anew, or that glues the second half on twice."""
    whole = server.files["model.safetensors"]
    server.breaks_after = len(whole) // 3
    with pytest.raises(ModelError, match=r"What has come is kept; .* fetch gpt2 goes on\.$"):
        hub.fetch("gpt2")
    assert "gpt2" not in models.available()
    server.dead, server.breaks_after, server.asked[:] = False, 0, []
    folder = hub.fetch("gpt2")
    assert (folder / "model.safetensors").read_bytes() == whole
    ((file, start),) = server.asked  # the small files are there; only the rest of the weights is asked for
    assert file == "model.safetensors" and 0 < start <= len(whole) // 3


@pytest.mark.parametrize("file", ["model.safetensors", "config.json"])
def test_a_damaged_file_is_thrown_away(server, file):
    """Catches: a download believed by its length."""
    server.sent[file] = bytes([server.files[file][0] ^ 1]) + server.files[file][1:]
    with pytest.raises(ModelError, match="came damaged"):
        hub.fetch("gpt2")
    assert "gpt2" not in models.available()
    server.sent.clear()
    hub.fetch("gpt2")


def test_other_weights_than_the_pinned_ones_are_refused(server, monkeypatch):
    """Catches: trust in whatever the hub calls its own."""
    source = hub.Source("openai-community/gpt2", "a" * 40, 1, "0" * 64)
    monkeypatch.setattr(hub, "MODELS", {"gpt2": source})
    with pytest.raises(ModelError, match="came damaged"):
        hub.fetch("gpt2")


@pytest.mark.parametrize(
    ("trouble", "sentence"),
    [("nobody", "no 'nobody' to fetch; there is: gpt2"), ("offline", "network"), ("gone", "network"), ("full", "full")],
)
def test_what_goes_wrong_is_a_sentence(server, monkeypatch, trouble, sentence):
    """Catches: a stack trace for someone in a train, or with a full disk."""
    from huggingface_hub import constants, file_download

    if trouble == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    if trouble == "gone":
        server.files.clear()
    if trouble == "full":

        def full(*_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(file_download, "http_get", full)
    with pytest.raises(SystemExit, match=sentence):
        models.main(["fetch", "nobody" if trouble == "nobody" else "gpt2"])


def test_revisions_are_commits():
    """Catches: a branch name, which would move."""
    assert all(len(source.revision) == 40 and int(source.revision, 16) for source in hub.MODELS.values())
    assert list(hub.MODELS) == ["gpt2", "distilgpt2", "gpt2-medium", "gpt2-large"]
