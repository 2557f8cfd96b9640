"""A line of text shown on a node while the graph runs."""

from comfy_execution.utils import get_executing_context
from server import PromptServer


def show_on_node(text: str, node_id: str | None = None) -> None:
    """Shows `text` on the node of that id, or on the one that is running; nothing outside a run."""
    context = get_executing_context()
    node_id = node_id or (context.node_id if context else None)
    server = getattr(PromptServer, "instance", None)
    if server is not None and node_id is not None:
        server.send_progress_text(text, node_id)
