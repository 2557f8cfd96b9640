"""The bench's page: every case is on it, with its pictures and figures, and nothing it shows lies elsewhere."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from vmt.bench.cases import bench_cases
from vmt.bench.filmed import filmed_cases
from vmt.bench.motions import CATEGORIES
from vmt.bench.page import write_page
from vmt.bench.report import summary
from vmt.metrics.track_picture import draw_field
from vmt.metrics.tracks import follow_grid
from vmt.synthetic.render import render
from vmt.video import ReferenceConfig, write_video

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
        "split": "v1", "seed": 0, "cases": 2, "model": "a model", "half": False,
        "host": {"comfyui": "0.3.75", "torch": "2.9", "dtype": "float32"},
        "absent": {"clip_text_alignment": "no <CLIP>", "clip_frame_consistency": "no <CLIP>"},
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
    assert "half: False, comfyui: 0.3.75, torch: 2.9, dtype: float32" in text
    told = "<p>Not told: clip_text_alignment, clip_frame_consistency, since no &lt;CLIP&gt;.</p>"
    assert text.index("</table>") < text.index(told) < text.index("<h2")


def test_each_case_has_a_plot_of_its_way(tmp_path):
    """Of every category; a perfect transfer's lies over the reference's."""
    write_video(tmp_path / "clip.mp4", render(bench_cases("single_object", 1)[0].reference).frames, 16)
    (tmp_path / "cases.json").write_text('[{"video": "clip.mp4", "prompt": "a robot"}]')
    cases = {category: bench_cases(category, 1) for category in CATEGORIES}
    cases["filmed"] = filmed_cases(tmp_path, ReferenceConfig(frames=33, width=128, height=128, fps=0))
    scores = {category: {"perfect": {listed[0].name: FIGURES}} for category, listed in cases.items()}
    report = {
        **dict.fromkeys(("split", "seed", "cases", "model", "half")), "host": {}, "absent": {}, "methods": {},
        "categories": {category: {"methods": {}, "skipped": {}} for category in cases},
    }  # fmt: skip

    def frames(name, case):
        return case.clip().frames if case.category == "filmed" else case.perfect_transfer()

    text = write_page(tmp_path / "page", report, cases, scores, frames).read_text(encoding="utf-8")
    assert not Links(text).open
    for category, listed in cases.items():
        section = text[text.index(f"id='{listed[0].name}'") :].split("</section>")[0]
        kind = "camera" if category == "camera" else "ways"
        plots = section.split(f"<figure class='{kind}'>")[1].split("</figure>")[0].split("</svg>")
        assert ">reference</text>" in plots[0] and ">perfect</text>" in plots[1] and len(plots) == 3
        theirs, both = (lines(plot) for plot in plots[:2])
        things = {"camera": 4, "filmed": 1}.get(category) or len(listed[0].prompt.objects) or 1
        assert len(theirs) == things and len(both) == 2 * things
        assert all(np.array_equal(line, below) for line, below in zip(theirs, both, strict=False))
        assert any(np.ptp(line, 0).max() > 4 for line in theirs), "it moves"
        for line in theirs:
            other = min(both[things:], key=lambda mine: abs(mine[0] - line[0]).sum())
            assert len(other) == len(line) and abs(other - line).mean() < 3


def lines(plot):
    """The points of a plot's lines: arrays (N,2)."""
    return [
        np.array([point.split(",") for point in points.split()], float)
        for points in re.findall(r"<polyline points='(.*?)'", plot)
    ]


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
