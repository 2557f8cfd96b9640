"""What came of one prompt: its outputs and times, or an error that names the node."""

from __future__ import annotations

from dataclasses import dataclass, field

from .console import LaunchError


class ServerError(LaunchError):
    """The host did not start, died, or answered with something that is no answer."""


class PromptRefused(ServerError):
    """The host did not accept the graph: a missing node or input, a value out of range."""

    def __init__(self, message: str, node_errors: dict) -> None:
        super().__init__(message)
        self.node_errors = node_errors


class NodeFailed(ServerError):
    """A node raised while running. `node_message` is its text without the node's name."""

    def __init__(self, node_id: str, node_type: str, node_message: str, exception_type: str, traceback: str) -> None:
        super().__init__(f"{node_type} (node {node_id}): {node_message}")
        self.node_id, self.node_type, self.node_message = node_id, node_type, node_message
        self.exception_type, self.traceback = exception_type, traceback


class PromptInterrupted(ServerError):
    """The run was cancelled."""


@dataclass
class RunResult:
    prompt_id: str
    outputs: dict  # node id -> what the node shows: {"images": [{"filename", "subfolder", "type"}], ...}
    cached: set = field(default_factory=set)  # ids of nodes whose earlier result was used
    seconds: float = 0.0  # from start to end, by the host's clock
    node_seconds: dict = field(default_factory=dict)  # node id -> seconds; only where the events were followed

    def files(self, node_id: str) -> list[dict]:
        """Every file that node saved or shows, in order."""
        shown = self.outputs.get(node_id, {})
        return [item for items in shown.values() for item in items if isinstance(item, dict) and "filename" in item]


def refusal(answer: dict, prompt: dict) -> PromptRefused:
    """The exception for the body of a 400 answer to POST /prompt."""
    errors = answer.get("node_errors") or {}
    lines = []
    for node_id, entry in errors.items():
        name = entry.get("class_type") or prompt.get(node_id, {}).get("class_type", "?")
        for error in entry.get("errors", []):
            details = f": {error['details']}" if error.get("details") else ""
            lines.append(f"{name} (node {node_id}): {error.get('message', error.get('type'))}{details}")
    if not lines:
        general = answer.get("error") or {}
        if isinstance(general, dict):
            general = " ".join(str(general[key]) for key in ("message", "details") if general.get(key))
        lines = [str(general)]
    return PromptRefused("\n".join(lines), errors)


def outcome(prompt_id: str, outputs: dict, messages: list) -> RunResult:
    """The result told by the host's status messages. Raises NodeFailed or PromptInterrupted if they tell of one.

    `messages`: (event, data) pairs of PromptExecutor.status_messages, which a history entry also carries. Each has
    the host's time in milliseconds.
    """
    times, cached = {}, set()
    for event, data in messages:
        times[event] = data["timestamp"] / 1000
        if event == "execution_cached":
            cached = set(data["nodes"])
        elif event == "execution_error":
            raise NodeFailed(
                str(data["node_id"]),
                data["node_type"],
                data["exception_message"].strip(),
                data["exception_type"],
                "".join(data["traceback"]),
            )
        elif event == "execution_interrupted":
            raise PromptInterrupted(f"The run was cancelled in {data['node_type']} (node {data['node_id']}).")
    seconds = times.get("execution_success", 0.0) - times.get("execution_start", 0.0)
    return RunResult(prompt_id, outputs, cached, seconds)
