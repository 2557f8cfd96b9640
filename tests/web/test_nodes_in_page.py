"""Our nodes as a user meets them in the page: their defaults, the upload button, their help pages, a whole run."""

import pytest

from vmt.demo.reference_clip import write_reference
from vmt.launch import CLONE

DEMO = CLONE / "workflows" / "vmt_demo.json"
NODE_IDS = sorted(page.stem for page in (CLONE / "web" / "docs").glob("*.md"))


@pytest.fixture(scope="module")
def nodes(server):
    return {name: info for name, info in server.get("/object_info").items() if name.startswith("VMT_")}


def inputs_of(info):
    return {**info["input"].get("required", {}), **info["input"].get("optional", {})}


def test_every_node_has_a_help_page_that_names_its_sockets(nodes):
    assert set(NODE_IDS) == set(nodes)
    for name, info in nodes.items():
        text = (CLONE / "web" / "docs" / f"{name}.md").read_text(encoding="utf-8")
        assert text.startswith(f"# {info['display_name']}\n")
        outputs = info["output_name"] if len(info["output_name"]) > 1 else []
        assert [key for key in (*inputs_of(info), *outputs) if f"**{key}**" not in text] == [], name


def test_every_node_has_a_description_and_tooltips(nodes):
    for name, info in nodes.items():
        assert info["description"], name
        assert [key for key, (_, options) in inputs_of(info).items() if not options.get("tooltip")] == [], name


def test_new_nodes_start_with_their_defaults(nodes, page):
    for name, info in nodes.items():
        shown = page.do(
            "const node = LiteGraph.createNode(args[0]);"
            "return Object.fromEntries((node.widgets ?? []).map(w => [w.name, w.value]))",
            name,
        )
        defaults = {key: options["default"] for key, (_, options) in inputs_of(info).items() if "default" in options}
        assert {key: shown.get(key) for key in defaults} == defaults, name


@pytest.mark.parametrize("name", NODE_IDS)
def test_help_page_opens_from_the_node(name, nodes, page):
    page.do(
        "app.graph.clear(); const node = LiteGraph.createNode(args[0]); node.pos = [300, 300]; app.graph.add(node);"
        "app.canvas.ds.scale = 1; app.canvas.ds.offset = [300, 100]; app.canvas.selectNode(node)",
        name,
    )
    button = "document.querySelector('[data-testid=\"info-button\"]')"
    page.wait_for(button, "the info button above the selected node")
    page.do(f"{button}.click()")
    title = "document.querySelector('.node-help-content .markdown-content h1')?.innerText"
    page.wait_for(f"{title} === args[0]", f"the help page of {name}", nodes[name]["display_name"])
    text, broken = page.do(
        "const help = document.querySelector('.node-help-content .markdown-content');"
        "await Promise.all([...help.querySelectorAll('img')].map(i => i.decode().catch(() => null)));"
        "return [help.innerText, [...help.querySelectorAll('img')].filter(i => !i.naturalWidth).map(i => i.src)]"
    )
    assert len(text) > 400 and broken == []
    page.do(f"{button}.click()")  # closes it


def test_upload_and_run_as_a_user_does(page, take_pictures, tmp_path):
    clip = write_reference(tmp_path / "my clip.mp4")
    page.open_template(DEMO)
    upload(page, clip)
    assert page.do("return (await app.graphToPrompt()).output['6'].inputs.file") == "my clip.mp4"
    if not take_pictures:  # a small run; for the picture the whole clip
        page.do(
            "const small = {frames: 5, width: 64, height: 64};"
            "for (const node of app.graph.nodes) for (const widget of node.widgets ?? [])"
            "  if (widget.name in small) widget.value = small[widget.name]"
        )
    page.do(
        "window.ended = null;"
        "for (const name of ['execution_success', 'execution_error', 'execution_interrupted'])"
        "  app.api.addEventListener(name, event => window.ended ??= [name, event.detail])"
    )
    run = "[data-testid=queue-button]"
    page.do(f"document.querySelector('{run} button, button{run}').click()")
    refusal = "document.querySelector('.p-dialog')?.innerText"
    page.wait_for(f"window.ended || {refusal}", "the end of the run", seconds=500)
    ended, detail = page.do(f"return window.ended ?? ['refused', {refusal}]")
    assert ended == "execution_success", detail
    size = [128, 128] if take_pictures else [64, 64]
    shown = "[...document.querySelectorAll('video')].filter(v => v.src.includes(args[0]))[0]"
    for file in ("vmt_demo", "vmt_reference"):  # Save Video, and the clip as Load Reference Video took it
        page.wait_for(f"{shown}?.videoWidth", f"the video {file} on its node", file)
        assert page.do(f"const video = {shown}; return [video.videoWidth, video.videoHeight]", file) == size
    images = "app.graph.nodes.find(n => n.type === 'VMT_ExtractAMF').imgs"
    page.wait_for(f"{images}?.length && {images}.every(i => i.naturalWidth)", "the picture of the motion on its node")
    if take_pictures:
        page.picture(CLONE / "web" / "pictures" / "workflow.jpg", 1600)


def upload(page, file):
    """Presses the button of Load Reference Video and chooses a file."""
    page.do(
        "const node = app.graph.nodes.find(n => n.type === 'VMT_LoadReferenceVideo');"
        "const press = HTMLInputElement.prototype.click;"
        "HTMLInputElement.prototype.click = function () { window.chooser = this };"  # no dialog of the system
        "try { node.widgets.find(w => w.type === 'button').callback() }"
        "finally { HTMLInputElement.prototype.click = press }"
        "document.body.append(window.chooser)"
    )
    chooser = page.browser.execute_script("return window.chooser")
    assert "video/mp4" in chooser.get_attribute("accept")
    chooser.send_keys(str(file))
    value = "app.graph.nodes.find(n => n.type === 'VMT_LoadReferenceVideo').widgets.find(w => w.name === 'file').value"
    page.wait_for(f"{value} === args[0]", "the uploaded file in the list", file.name)
    page.do("window.chooser.remove()")
