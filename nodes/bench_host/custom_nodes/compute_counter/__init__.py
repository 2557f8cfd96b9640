"""Runs inside the bench's own ComfyUI: counts the compute of the prompts that ask for it, and tells it over HTTP.

Such a prompt finds no earlier result in the host's cache or in the tuner, and leaves none.

A prompt asks with {"extra_data": {"vmt_count_compute": true}}; GET /vmt_bench/compute/PROMPT_ID answers.
"""

import importlib.util
import sys
from pathlib import Path

import execution
from aiohttp import web
from server import PromptServer

NODE_CLASS_MAPPINGS = {}
_COMPUTE = Path(__file__).resolve().parents[4] / "vmt" / "bench" / "compute.py"
_spec = importlib.util.spec_from_file_location("vmt_bench_compute", _COMPUTE)
_compute = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_compute)
_told = {}
_execute = execution.PromptExecutor.execute


def execute(self, prompt, prompt_id, extra_data={}, execute_outputs=[]):  # noqa: B006 - the host's signature
    if not extra_data.get("vmt_count_compute"):
        return _execute(self, prompt, prompt_id, extra_data, execute_outputs)
    forget(self)  # results of earlier prompts would not be computed again
    with _compute.Compute() as compute:
        _execute(self, prompt, prompt_id, extra_data, execute_outputs)
    forget(self)  # nor those of this one, whose time would then be missing
    _told[prompt_id] = compute.told()


def forget(executor):
    executor.reset()
    for name, module in list(sys.modules.items()):
        if name.endswith(".nodes.host.tuning"):  # the pack's, under the name that the host gave it
            module.forget()


execution.PromptExecutor.execute = execute


@PromptServer.instance.routes.get("/vmt_bench/compute/{prompt_id}")
async def compute_of(request):
    return web.json_response(_told[request.match_info["prompt_id"]])
