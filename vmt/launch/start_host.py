"""Runs ComfyUI's main.py in this process: `python start_host.py TREE [ComfyUI's arguments]`.

With VMT_STOP_WITH_PARENT set, the process ends when its standard input does, so that a server whose client was killed
does not stay behind.
"""

import importlib.util
import os
import runpy
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))


def main():
    tree = os.path.abspath(sys.argv[1])
    # Python puts this folder first on the path, and it has a server.py, as the host has.
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) != HERE]
    sys.path.insert(0, tree)
    if os.environ.get("VMT_EXTRA_PACKAGES"):
        sys.path.append(os.environ["VMT_EXTRA_PACKAGES"])
    if os.environ.get("VMT_STOP_WITH_PARENT"):
        threading.Thread(target=wait_for_end_of_input, daemon=True).start()
    load_shims().apply()
    main_py = os.path.join(tree, "main.py")
    sys.argv = [main_py, *sys.argv[2:]]
    runpy.run_path(main_py, run_name="__main__")


def load_shims():
    spec = importlib.util.spec_from_file_location("vmt_cpu_shims", os.path.join(HERE, "cpu_shims.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wait_for_end_of_input():
    # Not through sys.stdin: a thread that holds its lock makes Python abort when the host ends by itself.
    while os.read(0, 4096):
        pass
    os._exit(1)


if __name__ == "__main__":
    main()
