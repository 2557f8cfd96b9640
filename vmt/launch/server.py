"""A ComfyUI server and its HTTP API, as a studio's script would use them. Standard library only.

with Server(python, tree, base, ["--cpu"]) as server:
    name = server.upload(Path("clip.mp4"))
    result = server.run(prompt, on_progress=print)
    server.save(result.files("9")[0], Path("out.mp4"))
"""

from __future__ import annotations

import json
import mimetypes
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path

from .host_process import ADDRESS, HostProcess
from .local_http import open_local
from .run_result import NodeFailed, PromptInterrupted, PromptRefused, RunResult, ServerError, outcome, refusal
from .websocket import EventStream

Progress = Callable[[str, int, int], None]  # node id, step, steps; (id, 0, 0) when a node begins


class Server:
    """Started on entry, stopped on exit, whatever happens between. Errors are the exceptions of `run_result`."""

    def __init__(self, python: Path, tree: Path, base: Path, arguments: list[str] | tuple = ()) -> None:
        self.process = HostProcess(python, tree, base, list(arguments))

    def __enter__(self) -> Server:
        self.process.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.process.stop()

    @property
    def url(self) -> str:
        return f"http://{ADDRESS}:{self.process.port}"

    def request(self, path: str, body: bytes | None = None, content_type: str = "application/json") -> bytes:
        """GET, or POST when there is a body. Raises urllib's HTTPError for a status that tells of an error."""
        headers = {"Content-Type": content_type} if body is not None else {}
        asked = urllib.request.Request(self.url + path, data=body, headers=headers)
        try:
            with open_local(asked, timeout=120) as answer:
                return answer.read()
        except urllib.error.HTTPError:
            raise
        except OSError as error:
            self.process.check()
            raise ServerError(f"ComfyUI at {self.url} did not answer {path}: {error}.") from error

    def get(self, path: str) -> dict:
        return json.loads(self.request(path))

    def node_ids(self) -> set[str]:
        """Class names of all nodes that the host has loaded."""
        return set(self.get("/object_info"))

    def upload(self, file: Path) -> str:
        """Puts a file (video too) into the host's input folder and returns the name that loaders list it by."""
        boundary = uuid.uuid4().hex
        name = file.name.replace('"', "_")
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
            f"Content-Type: {kind}\r\n\r\n"
        )
        body = head.encode() + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode()
        try:
            answer = json.loads(self.request("/upload/image", body, f"multipart/form-data; boundary={boundary}"))
        except urllib.error.HTTPError as error:
            raise ServerError(f"ComfyUI did not take the file {file}: {error}.") from error
        return "/".join(part for part in (answer["subfolder"], answer["name"]) if part)

    def submit(self, prompt: dict, client_id: str = "", extra_data: dict | None = None) -> str:
        """Queues an API-form graph and returns its prompt id. Raises PromptRefused if it does not validate."""
        body = {"prompt": prompt, **({"client_id": client_id} if client_id else {}), "extra_data": extra_data or {}}
        try:
            answer = json.loads(self.request("/prompt", json.dumps(body).encode()))
        except urllib.error.HTTPError as error:
            try:
                reason = refusal(json.loads(error.read()), prompt)
            except ValueError:
                reason = PromptRefused(f"ComfyUI refused the graph: {error}.", {})
            raise reason from error
        return answer["prompt_id"]

    def run(
        self, prompt: dict, on_progress: Progress | None = None, timeout: float | None = None,
        extra_data: dict | None = None,
    ) -> RunResult:  # fmt: skip
        """Runs an API-form graph to its end.

        Raises NodeFailed, PromptRefused or PromptInterrupted; ServerError if the server dies or `timeout` seconds
        pass. A run that is left early (timeout, Ctrl-C) is cancelled on the server too.
        """
        client = uuid.uuid4().hex
        deadline = time.monotonic() + timeout if timeout else float("inf")
        with self._events(client) as events:
            prompt_id = self.submit(prompt, client, extra_data)
            try:
                node_seconds = self._follow(events, prompt_id, on_progress, deadline)
                result = self._result(prompt_id, deadline)
            except (NodeFailed, PromptInterrupted):
                raise
            except BaseException:
                self.interrupt()
                raise
        result.node_seconds = node_seconds
        return result

    def _events(self, client: str) -> EventStream:
        try:
            events = EventStream(ADDRESS, self.process.port, f"/ws?clientId={client}")
            # The host greets a client once it has it on its list; a graph queued before would run unseen.
            events.receive(timeout=30)
            return events
        except OSError as error:
            self.process.check()
            raise ServerError(f"ComfyUI at {self.url} does not send its progress: {error}.") from error

    def _follow(self, events: EventStream, prompt_id: str, tell: Progress | None, deadline: float) -> dict[str, float]:
        """Passes events on until the run ends. Node times are taken here, from one event's arrival to the next."""
        seconds: dict[str, float] = {}
        node, since, ended = None, time.monotonic(), False
        while True:
            if time.monotonic() > deadline:
                raise ServerError(f"The graph did not end in the time given; it was in node {node}.")
            event = events.receive(timeout=1.0)
            if event is None:
                self.process.check()
                if ended or not events.is_open:
                    return seconds
                # Asked only for the case that its end was told to nobody. Its last events may still be on the way
                # when the history has it, so one more round is waited for them.
                ended = self._history(prompt_id) is not None
                continue
            data = event.get("data") or {}
            if data.get("prompt_id") != prompt_id:
                continue
            if event["type"] in ("executing", "execution_success", "execution_error", "execution_interrupted"):
                now = time.monotonic()
                if node is not None:
                    seconds[node] = seconds.get(node, 0.0) + now - since
                node, since = data.get("node"), now
                if event["type"] != "executing" or node is None:
                    return seconds
                if tell:
                    tell(node, 0, 0)
            elif event["type"] == "progress" and tell:
                tell(data.get("node") or node, int(data["value"]), int(data["max"]))

    def _history(self, prompt_id: str) -> dict | None:
        return self.get(f"/history/{prompt_id}").get(prompt_id)

    def _result(self, prompt_id: str, deadline: float) -> RunResult:
        # The entry appears a moment after the event that ends the run.
        while (entry := self._history(prompt_id)) is None:
            self.process.check()
            if time.monotonic() > deadline:
                raise ServerError("The graph did not end in the time given.")
            time.sleep(0.02)
        return outcome(prompt_id, entry["outputs"], entry["status"]["messages"])

    def interrupt(self) -> None:
        """Cancels the running graph. Never raises: it is called where something else already went wrong."""
        try:
            self.request("/interrupt", b"{}")
        except (OSError, ServerError):
            pass

    def fetch(self, file: dict) -> bytes:
        """The content of a file that a node saved or shows; `file` is an entry of RunResult.files."""
        query = {"subfolder": "", "type": "output", **file}
        try:
            return self.request("/view?" + urllib.parse.urlencode(query))
        except urllib.error.HTTPError as error:
            raise ServerError(f"ComfyUI did not hand out {file['filename']}: {error}.") from error

    def save(self, file: dict, target: Path) -> Path:
        target.write_bytes(self.fetch(file))
        return target
