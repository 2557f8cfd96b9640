"""Every shipped workflow, opened in the page from the template browser."""

import json

import pytest

from vmt.launch import CLONE

WORKFLOWS = sorted((CLONE / "workflows").glob("*.json"))
PREVIEW = "preview"  # so end the names of what the page adds to a node that shows something; the host ignores it


@pytest.fixture(scope="module", params=WORKFLOWS, ids=lambda file: file.stem)
def opened(request, page, take_pictures):
    page.open_template(request.param)
    if take_pictures:
        page.picture(request.param.with_suffix(".jpg"), 960)
    return request.param


def is_stock(kind):
    """Such a node has further settings on newer hosts."""
    return not kind.startswith("VMT_")


def ui_form(file):
    return json.loads(file.read_text(encoding="utf-8"))


def api_form(file):
    name = file.stem.removeprefix("vmt_")
    return json.loads((file.parent / "api" / f"{name}.api.json").read_text(encoding="utf-8"))


def test_no_node_is_missing_or_red(opened, page):
    nodes = page.do(
        "return app.graph.nodes.map(n => [n.type, n.type in LiteGraph.registered_node_types && !n.has_errors])"
    )
    assert sorted(kind for kind, _ in nodes) == sorted(node["type"] for node in ui_form(opened)["nodes"])
    assert [kind for kind, fine in nodes if not fine] == []
    assert page.do("return [...document.querySelectorAll('.p-dialog, .p-toast-message')].map(e => e.innerText)") == []


def test_widgets_show_the_values_of_the_file(opened, page):
    shown = page.do(
        "const values = n => (n.widgets ?? []).filter(w => !w.name.endsWith(args[0])).map(w => w.value);"
        "return Object.fromEntries(app.graph.nodes.map(n => [n.id, values(n)]))",
        PREVIEW,
    )
    for node in ui_form(opened)["nodes"]:
        values, found = node.get("widgets_values", []), shown[str(node["id"])]
        assert found == values or (is_stock(node["type"]) and found[: len(values)] == values), node["type"]


def test_export_is_the_api_form(opened, page):
    exported = page.do("return (await app.graphToPrompt()).output")
    for node in exported.values():
        node["inputs"] = {name: value for name, value in node["inputs"].items() if not name.endswith(PREVIEW)}
    api, titled = api_form(opened), {str(node["id"]) for node in ui_form(opened)["nodes"] if "title" in node}
    for key, node in exported.items():
        if is_stock(node["class_type"]):
            further = {name: node["inputs"].pop(name) for name in set(node["inputs"]) - set(api[key]["inputs"])}
            assert not any(isinstance(value, list) for value in further.values()), "nothing but settings"
            if key not in titled:
                node["_meta"] = api[key]["_meta"]  # hosts give nodes names of their own
    assert exported == api


def test_groups_hold_whole_nodes_and_nodes_do_not_overlap(opened, page):
    boxes = page.do(
        "return [app.graph.nodes.map(n => [n.title, ...n.boundingRect]), "
        "app.graph.groups.map(g => [g.title, ...g.boundingRect])]"
    )
    nodes, groups = ([(title, x, y, x + w, y + h) for title, x, y, w, h in part] for part in boxes)
    for number, one in enumerate(nodes):
        for other in nodes[:number]:
            assert not _overlap(one, other), f"{one[0]} lies on {other[0]}"
    for group in groups:
        for node in nodes:
            whole = group[1] <= node[1] and group[2] <= node[2] and node[3] <= group[3] and node[4] <= group[4]
            assert whole or not _overlap(group, node), f"{node[0]} lies half in the group {group[0]}"


def _overlap(a, b):
    return a[1] < b[3] and b[1] < a[3] and a[2] < b[4] and b[2] < a[4]
