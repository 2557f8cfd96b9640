"""VMT: the motion of a reference video, transferred to a new one, as ComfyUI nodes.

ComfyUI loads this folder as one package and calls `comfy_entrypoint`. Without a host on the path (pytest collecting
from here, a linter) importing this file does nothing.
"""

import importlib.util

if importlib.util.find_spec("comfy_api"):
    WEB_DIRECTORY = "./web"

    async def comfy_entrypoint():
        # Not at module level: a test run with the host on its path imports this file as a mere parent folder.
        from .nodes import comfy_entrypoint as entrypoint

        return await entrypoint()
