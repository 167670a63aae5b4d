"""The launcher: chapters read from the notebooks, and a server that only this machine can reach."""

import json
import os
import re
import socket
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from tokentrace import dashboards


def write(folder, name, heading):
    cell = {"cell_type": "markdown", "metadata": {}, "source": [f"{heading}\n", "\n", "text"]}
    (folder / name).write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))


@pytest.fixture
def folder(tmp_path):
    write(tmp_path, "index.ipynb", "# One token at a time")
    write(tmp_path, "02_generation_loop.ipynb", "# 2 · The generation loop")
    write(tmp_path, "01_chain_rule.ipynb", "# Chapter 1: the chain rule")
    write(tmp_path, "10_no_heading.ipynb", "plain")
    write(tmp_path, "notes.ipynb", "# Not a chapter")
    return tmp_path


def course(folder, path):
    page = {"federated_extensions": [{"name": "anywidget"}, {"name": "jupyterlab-plotly"}]}
    settings = {"contents_manager": SimpleNamespace(root_dir=str(folder))}
    return dashboards.add_course(page, settings=settings, notebook_path=path)


def test_chapters_come_from_the_notebooks(folder):
    found = [(chapter["number"], chapter["title"]) for chapter in dashboards.chapters(folder)]
    assert found == [("1", "the chain rule"), ("2", "The generation loop"), ("10", "no heading")]


def test_a_changed_heading_is_seen(folder):
    dashboards.chapters(folder)
    write(folder, "01_chain_rule.ipynb", "# 1 · Another name")
    os.utime(folder / "01_chain_rule.ipynb", ns=(1, 1))
    assert dashboards.chapters(folder)[0]["title"] == "Another name"


def test_a_page_knows_its_neighbours(folder):
    here = course(folder, "02_generation_loop.ipynb")["course"]
    assert (here["here"], here["before"]["number"], here["after"]["number"]) == (1, "1", "10")
    index = course(folder, "index.ipynb")["course"]
    assert (index["here"], index["before"], index["after"]["number"]) == (None, None, "1")
    # as on Binder, where the server's root is the repository
    assert course(folder.parent, f"{folder.name}/10_no_heading.ipynb")["course"]["after"] is None


def test_plotly_is_sent_only_to_pages_that_use_it(folder):
    names = [it["name"] for it in course(folder, "index.ipynb")["federated_extensions"]]
    assert names == ["anywidget"]
    write(folder, "index.ipynb", "import plotly")
    assert len(course(folder, "index.ipynb")["federated_extensions"]) == 2


def test_no_index_is_an_error_in_words(tmp_path, capsys):
    with pytest.raises(SystemExit):
        dashboards.main([str(tmp_path)])
    assert "holds no index.ipynb" in capsys.readouterr().err


def test_a_taken_port_and_a_strange_home_do_no_harm(folder, tmp_path):
    home = tmp_path / "home"
    (home / ".jupyter").mkdir(parents=True)
    (home / ".jupyter" / "voila.json").write_text('{"Voila": {"ip": "0.0.0.0", "base_url": "/elsewhere/"}}')
    environment = os.environ | {"HOME": str(home), "PYTHONUNBUFFERED": "1"}
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "tokentrace.dashboards", str(folder), f"--port={port}", "--no-browser"]
        process = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        try:
            line = process.stdout.readline()
            address = re.search(r"http://127\.0\.0\.1:(\d+)/ ", line)
            assert address and int(address[1]) != port, line
            listening = [it.laddr for it in psutil.Process(process.pid).net_connections() if it.status == "LISTEN"]
            assert {place.ip for place in listening} == {"127.0.0.1"}
        finally:
            process.terminate()
            process.wait(20)
