"""Which file may import what, read from the source: the core runs without a host, the launcher without anything."""

import ast
import sys
from pathlib import Path

import pytest

CLONE = Path(__file__).resolve().parents[2]
HOST = {
    "comfy", "comfy_api", "comfy_extras", "comfy_execution", "comfy_config", "folder_paths", "nodes", "execution",
    "server", "node_helpers", "latent_preview",
}  # fmt: skip
CORE = sorted((CLONE / "vmt").rglob("*.py"))
PACK = [CLONE / "__init__.py", *sorted((CLONE / "nodes").rglob("*.py"))]
LAUNCH = [CLONE / "vmt/__init__.py", CLONE / "vmt/__main__.py", *sorted((CLONE / "vmt/launch").rglob("*.py"))]
# Inside a function: the one place that must know how PyTorch is broken, and the one that starts the tests.
ALLOWED = {"vmt/launch/cpu_shims.py": {"torch"}, "vmt/launch/run_tests.py": {"pytest"}}


def imports(path):
    """(module, level, line) of every import statement in the file, wherever it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((name.name, 0, node.lineno) for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level, node.lineno


def named(path):
    return path.relative_to(CLONE).as_posix()


def breaches(path, forbidden):
    return [f"{named(path)}:{line} imports {module}" for module, level, line in imports(path)
            if level == 0 and forbidden(module.split(".")[0])]  # fmt: skip


def test_there_is_something_to_check():
    assert len(CORE) > 20 and len(LAUNCH) > 10 and len(PACK) >= 1


@pytest.mark.parametrize("path", CORE, ids=named)
def test_core_imports_nothing_of_the_host(path):
    assert not breaches(path, HOST.__contains__)


@pytest.mark.parametrize("path", CORE, ids=named)
def test_core_refers_to_itself_relatively_and_never_to_nodes(path):
    assert not breaches(path, lambda module: module == "vmt")
    depth = len(path.relative_to(CLONE / "vmt").parts)
    climbs = [(line, level) for _, level, line in imports(path) if level > depth]
    assert not climbs, f"{named(path)} leaves the package vmt at (line, level) {climbs}"


@pytest.mark.parametrize("path", LAUNCH, ids=named)
def test_launcher_imports_the_standard_library_only(path):
    def foreign(module):
        return module not in sys.stdlib_module_names and module not in ALLOWED.get(named(path), ())

    assert not breaches(path, foreign)


@pytest.mark.parametrize("path", LAUNCH, ids=named)
def test_launcher_loads_no_core_module_before_the_environment_is_there(path):
    top = [node for node in ast.parse(path.read_text(encoding="utf-8")).body if isinstance(node, ast.ImportFrom)]
    depth = len(path.relative_to(CLONE / "vmt").parts)
    assert not [node.module for node in top if node.level > 0 and node.level >= depth and depth > 1]


@pytest.mark.parametrize("path", PACK, ids=named)
def test_pack_refers_to_itself_relatively(path):
    # `import nodes` is allowed: inside the pack it means ComfyUI's.
    assert not breaches(path, lambda module: module == "vmt")


@pytest.mark.parametrize("path", [*CORE, *PACK], ids=named)
def test_pack_leaves_the_path_alone(path):
    allowed = ("vmt/launch/setup.py", "vmt/launch/start_host.py")  # processes of our own
    text = path.read_text(encoding="utf-8")
    assert named(path) in allowed or "sys.path" not in text


def test_old_pythons_can_read_the_first_two_files():
    for name in ("vmt/__init__.py", "vmt/__main__.py"):
        ast.parse((CLONE / name).read_text(encoding="utf-8"), feature_version=(3, 4))


def loaded_with(path):
    """The files of this repository, and the packages, that importing one of its files imports."""
    files, packages, waiting = set(), set(), [path]
    while waiting:
        file = waiting.pop()
        if file in files:
            continue
        files.add(file)
        for node in ast.parse(file.read_text(encoding="utf-8")).body:  # not what stands in functions
            if isinstance(node, ast.Import):
                packages |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                packages.add(node.module.split(".")[0])
            elif isinstance(node, ast.ImportFrom):
                folder = file.parents[node.level - 1] / (node.module or "").replace(".", "/")
                named_files = [folder / f"{name.name}.py" for name in node.names]
                waiting += [f for f in (folder.with_suffix(".py"), folder / "__init__.py", *named_files) if f.exists()]
    return files, packages


@pytest.mark.parametrize("path", sorted((CLONE / "nodes").glob("*.py")), ids=named)
def test_every_node_loads_without_opencv(path):
    files, packages = loaded_with(path)
    assert "cv2" not in packages
    assert len(files) > 1 or path.name in ("types.py", "noise_level.py", "__init__.py")


def test_a_file_that_needs_opencv_would_be_noticed():
    files, packages = loaded_with(CLONE / "vmt/metrics/comparison.py")
    assert "cv2" in packages and CLONE / "vmt/metrics/tracks.py" in files
