"""A real ComfyUI in two forms: `server`, a process of its own, and `executor`, in this process, to look at tensors.

`host` is what `executor` stands on: ComfyUI's modules, imported in the one order that works, with this pack loaded
through the host's own loader. Test files must not import `comfy` or `nodes` at module level: ComfyUI reads the command
line when it is first imported. Use `host.nodes`, or import inside a test that uses one of the fixtures.
"""

import asyncio
import importlib
import os
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from vmt.launch import CLONE, base_folder, cpu_shims, host_tree
from vmt.launch.run_result import RunResult, outcome, refusal
from vmt.launch.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A `vmt.launch.server.Server` with this pack loaded: `run(prompt)` gives a RunResult or raises NodeFailed."""
    base = base_folder.prepare(tmp_path_factory.mktemp("server"))
    with Server(Path(sys.executable), host_tree.current(), base, ["--cpu"]) as running:
        if not any(name.startswith("VMT_") for name in running.node_ids()):
            pytest.fail(f"ComfyUI started without this pack:\n{running.process.log_tail(60)}")
        yield running


@pytest.fixture(scope="session")
def host(tmp_path_factory):
    """ComfyUI imported into this process, on the CPU: `nodes`, `execution`, `prompt_server`, `loop`, `pack(name)`."""
    base = base_folder.prepare(tmp_path_factory.mktemp("in_process"))
    tree = str(host_tree.current())
    sys.path.insert(0, tree)
    cpu_shims.apply()
    argv, sys.argv = sys.argv, ["main.py", "--cpu", "--base-directory", str(base)]
    sys.argv += ["--database-url", "sqlite:///:memory:", "--disable-api-nodes"]
    try:
        # isort: off
        import comfy.options

        comfy.options.enable_args_parsing()
        # Before nodes, which on 0.3.75 puts comfy/ on the path: "utils" would then be comfy/utils.py.
        import utils.extra_config  # noqa: F401
        import nodes
        import execution
        import server as host_server

        # isort: on
    finally:
        sys.argv = argv
    assert Path(nodes.__file__).is_relative_to(tree), f"`import nodes` found {nodes.__file__}"
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    prompt_server = host_server.PromptServer(loop)
    loop.run_until_complete(nodes.init_extra_nodes(init_custom_nodes=True, init_api_nodes=False))
    if not any(name.startswith("VMT_") for name in nodes.NODE_CLASS_MAPPINGS):
        pytest.fail("ComfyUI did not load this pack; the reason is in the captured output.")
    yield SimpleNamespace(
        nodes=nodes, execution=execution, prompt_server=prompt_server, loop=loop, base=base, pack=_import_from_pack
    )
    loop.close()


@pytest.fixture(scope="session")
def executor(host):
    """The real PromptExecutor in this process; see `Executor.run`. Caches live from one run to the next, as in use."""
    return Executor(host)


def _import_from_pack(name: str) -> ModuleType:
    """A module of this pack as the host loaded it, e.g. `nodes.host.gradients` or `vmt.features`.

    Not the same objects as those of `import vmt`: the host loads the pack under another name.
    """
    for loaded, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and os.path.basename(file) == "__init__.py" and os.path.samefile(file, CLONE / "__init__.py"):
            return importlib.import_module(f"{loaded}.{name}")
    raise LookupError("The host has not loaded this pack.")


class _AnyType(str):
    """Equal to every socket type: the host compares types with `!=`."""

    def __ne__(self, other):
        return False


class Result(RunResult):
    """Beside RunResult: `got`, the objects that were asked for, and `events`, all that the host sent its client."""

    def __init__(self, result: RunResult, got: dict, events: list):
        super().__init__(result.prompt_id, result.outputs, result.cached, result.seconds)
        self.got, self.events = got, events

    @property
    def ran(self) -> list[str]:
        """Ids of the nodes that were executed, not taken from the cache, in order."""
        return [data["node"] for event, data in self.events if event == "executing" and data.get("node")]


class Executor:
    """Runs API-form graphs in this process, in inference mode, with the host's caches."""

    def __init__(self, host):
        self.host = host
        self._given, self._numbers, self._got, self._events = {}, {}, {}, []
        self._on_event = None
        self._count = 0
        host.nodes.NODE_CLASS_MAPPINGS["VMT_TestGive"] = self._giving_node()
        host.nodes.NODE_CLASS_MAPPINGS["VMT_TestGet"] = self._getting_node()
        host.prompt_server.send_sync = self._receive
        self._install_progress()
        cache = {"lru": 0, "ram": 0, "ram_inactive": 0}
        self._executor = host.execution.PromptExecutor(
            host.prompt_server, cache_type=host.execution.CacheType.CLASSIC, cache_args=cache
        )

    def run(self, prompt: dict, *, want: dict | None = None, give: dict | None = None, on_event=None) -> Result:
        """Runs `prompt` to its end and returns a Result. Raises PromptRefused, NodeFailed or PromptInterrupted.

        want: name -> link, such as {"latent": ["5", 0]}: the object at that socket comes back as result.got["latent"].
        give: node id -> object: a node that outputs it, for links such as ["model", 0]. The same object given again
            counts as unchanged, so the host's cache holds.
        on_event: called with (event, data) of every message, in the midst of the run; may call
            host.nodes.interrupt_processing() or raise.
        """
        prompt = dict(prompt)
        for node_id, value in (give or {}).items():
            if node_id not in self._given or self._given[node_id] is not value:
                self._given[node_id] = value
                self._numbers[node_id] = self._numbers.get(node_id, 0) + 1
            inputs = {"name": node_id, "number": self._numbers[node_id]}
            prompt[node_id] = {"class_type": "VMT_TestGive", "inputs": inputs}
        for name, link in (want or {}).items():
            prompt[f"get {name}"] = {"class_type": "VMT_TestGet", "inputs": {"name": name, "value": link}}
        self._count += 1
        prompt_id = f"test-{self._count}"
        self._got, self._events, self._on_event = {}, [], on_event
        try:
            return self._execute(prompt, prompt_id)
        finally:
            self._on_event = None

    def _execute(self, prompt: dict, prompt_id: str) -> Result:
        loop, runner = self.host.loop, self._executor
        valid = loop.run_until_complete(self.host.execution.validate_prompt(prompt_id, prompt, None))
        if not valid[0]:
            raise refusal({"error": valid[1], "node_errors": valid[3]}, prompt)
        runner.success = True
        loop.run_until_complete(runner.execute_async(prompt, prompt_id, {"client_id": "test"}, valid[2]))
        result = outcome(prompt_id, runner.history_result["outputs"], runner.status_messages)
        return Result(result, self._got, self._events)

    def forget(self) -> None:
        """Empties the host's caches, so that every node of the next run is executed."""
        self._executor.reset()

    def _receive(self, event, data, sid=None) -> None:
        self._events.append((event, data))
        if self._on_event:
            self._on_event(event, data)

    def _install_progress(self) -> None:
        # What main.py's hijack_progress does: progress bars check for an interrupt and tell the client.
        import comfy.model_management
        import comfy.utils

        def progress(value, total, preview, **where):
            comfy.model_management.throw_exception_if_processing_interrupted()
            self._receive("progress", {"value": value, "max": total, "preview": preview})

        comfy.utils.set_progress_bar_global_hook(progress)

    def _giving_node(executor):
        class Give:
            @classmethod
            def INPUT_TYPES(cls):
                return {"required": {"name": ("STRING", {}), "number": ("INT", {})}}

            RETURN_TYPES = (_AnyType("*"),)
            FUNCTION = "run"
            CATEGORY = "test"

            def run(self, name, number):
                return (executor._given[name],)

        return Give

    def _getting_node(executor):
        class Get:
            @classmethod
            def INPUT_TYPES(cls):
                return {"required": {"name": ("STRING", {}), "value": (_AnyType("*"), {})}}

            RETURN_TYPES = ()
            FUNCTION = "run"
            CATEGORY = "test"
            OUTPUT_NODE = True

            @classmethod
            def IS_CHANGED(cls, **inputs):
                return float("nan")  # never from the cache: each run stores its own

            def run(self, name, value):
                executor._got[name] = value
                return ()

        return Get
