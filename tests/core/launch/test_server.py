"""Following a run's events in awkward orders. The real server is in tests/host."""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from vmt.launch.server import Server


class Scripted:
    """Stands for the event stream: gives what it was told to, then silence."""

    is_open = True

    def __init__(self, *events):
        self.events = list(events)

    def receive(self, timeout):
        return self.events.pop(0) if self.events else None


def event(kind, prompt_id="mine", **data):
    return {"type": kind, "data": {"prompt_id": prompt_id, **data}}


def follow(events, monkeypatch, in_history):
    server = Server(Path("python"), Path("tree"), Path("base"))
    monkeypatch.setattr(server.process, "check", lambda: None)
    monkeypatch.setattr(server, "_history", lambda prompt_id: in_history)
    seen = []
    seconds = server._follow(Scripted(*events), "mine", lambda *what: seen.append(what), float("inf"))
    return seen, seconds


def test_events_that_come_after_the_history_entry_are_still_told(monkeypatch):
    late = [None, event("executing", node="1"), event("executing", node="2"), event("execution_success")]
    seen, seconds = follow(late, monkeypatch, in_history={})
    assert seen == [("1", 0, 0), ("2", 0, 0)] and set(seconds) == {"1", "2"}


def test_run_whose_end_nobody_told_is_found_in_the_history(monkeypatch):
    seen, _ = follow([event("executing", node="1")], monkeypatch, in_history={})
    assert seen == [("1", 0, 0)]


def test_events_of_another_run_and_bare_status_are_ignored(monkeypatch):
    events = [
        {"type": "status", "data": {"status": {}}},
        {"type": "crystools.monitor"},
        event("executing", "another", node="9"),
        event("execution_success", "another"),
        event("executing", node="1"),
        event("progress", node="1", value=2, max=5),
        event("executing", node=None),
    ]
    seen, seconds = follow(events, monkeypatch, in_history=None)
    assert seen == [("1", 0, 0), ("1", 2, 5)] and set(seconds) == {"1"}


class Answering(BaseHTTPRequestHandler):
    """Stands for the host where only the way to it counts: tells what folder it was started with."""

    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({"system": {"argv": ["its temp"]}}).encode())

    def log_message(self, *what):
        pass


@pytest.fixture
def port():
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_a_proxy_for_the_world_outside_is_not_asked_for_our_own_server(monkeypatch, port):
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    server = Server(Path(sys.executable), Path("tree"), Path("base"))
    monkeypatch.setattr(server.process, "check", lambda: None)
    server.process.port, server.process._temp = port, Path("its temp")
    server.process._wait_until_ready()
    assert server.get("/system_stats")["system"]["argv"] == ["its temp"]
