"""The bench's page: every case is on it, with its pictures and figures, and nothing it shows lies elsewhere."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from vmt.bench.cases import bench_cases
from vmt.bench.page import write_page
from vmt.bench.report import summary
from vmt.metrics.track_picture import draw_field
from vmt.metrics.tracks import follow_grid
from vmt.synthetic.render import render

FIGURES = {"centred_correlation": 0.25, "camera_correlation": -0.5, "wrong_way": 0.125, "seconds": 3.0}


class Links(HTMLParser):
    """What a page points to, and that each element that is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.sources, self.anchors, self.ids = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.sources += [attrs["src"]] if "src" in attrs else []
        self.anchors += [attrs["href"]] if "href" in attrs else []
        self.ids += [attrs["id"]] if "id" in attrs else []
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        pass

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    cases = {category: bench_cases(category, 2) for category in ("camera", "single_object")}
    scores = {
        category: {"unguided": {c.name: FIGURES for c in listed}, "<balanced>": {listed[0].name: FIGURES}}
        for category, listed in cases.items()
    }
    skipped = {"camera": {"<balanced>": {"camera-001": "the <frames> are gone"}}, "single_object": {}}
    report = {
        "split": "v1", "seed": 0, "cases": 2, "model": "a model", "host": "a host", "half": False,
        "methods": {"<balanced>": {**summary(scores["camera"])["<balanced>"], "flops": 3e12}},
        "categories": {c: {"methods": summary(scores[c]), "skipped": skipped[c]} for c in cases},
    }  # fmt: skip
    told = []
    index = write_page(
        folder / "page", report, cases, scores, lambda name, case: render(case.prompt).frames, told.append
    )
    assert told[-1] == "page: single_object 2/2"
    return index


def test_every_case_has_its_section_pictures_and_dots(page):
    links = Links(page.read_text(encoding="utf-8"))
    assert not links.open
    names = [case.name for category in ("camera", "single_object") for case in bench_cases(category, 2)]
    assert set(names) <= set(links.ids)
    assert sorted(links.sources) == sorted(f"{name}{end}.jpg" for name in names for end in ("", "-field"))
    assert sorted(links.anchors) == sorted([f"#{name}" for name in names] + ["#camera-000", "#single_object-000"])
    files = {file.name for file in page.parent.iterdir()}
    assert files == {"index.html", *links.sources}


def test_pictures_have_a_row_or_a_field_for_the_reference_and_each_result(page):
    height = [Image.open(page.parent / f"camera-00{i}.jpg").height for i in (0, 1)]
    width = [Image.open(page.parent / f"camera-00{i}-field.jpg").width for i in (0, 1)]
    assert height[0] - height[1] > 100 and width[0] - width[1] > 100  # one result more


def test_text_is_escaped_and_what_is_left_out_is_told(page):
    text = page.read_text(encoding="utf-8")
    assert "&lt;balanced&gt; on camera-001: the &lt;frames&gt; are gone" in text and "<balanced>" not in text
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert "<td>0.25</td>" in text and "0.25 / 0.25" in text


def test_field_points_where_the_thing_goes():
    """Arrows lie over the way from here to there, and there are none on what stands still."""
    case = bench_cases("single_object", 1)[0]
    frames = render(case.reference).frames
    still = frames[16:17].expand_as(frames)
    moving, standing = (draw_field(clip, follow_grid(clip, 8)) for clip in (frames, still))
    plain = draw_field(still, follow_grid(still[:1], 8))
    assert standing.shape == plain.shape and np.abs(moving.astype(int) - plain).max() > 60
    mask = render(case.reference).masks[0] > 0.5
    way = mask[16:25].any(0).repeat_interleave(3, 0).repeat_interleave(3, 1).numpy()
    arrows = np.abs(moving.astype(int) - draw_field(frames, follow_grid(still, 8)).astype(int)).max(-1) > 60
    assert arrows[way].mean() > 2 * arrows[~way].mean()


@pytest.mark.parametrize("num", [2, 5, 13])
def test_field_of_a_short_clip_has_arrows_too(num):
    frames = render(bench_cases("single_object", 1)[0].reference).frames[:num]
    tracks, still = follow_grid(frames, 8), follow_grid(frames[:1].expand_as(frames), 8)
    assert np.abs(draw_field(frames, tracks).astype(int) - draw_field(frames, still)).max() > 60
