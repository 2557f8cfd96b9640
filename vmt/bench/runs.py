"""Running cases through a real ComfyUI, and keeping every result in files of its own.

A stopped bench goes on where it was, and a crash loses the case it was at; what could not be made is tried again, and
a host that dies is started anew. The frames that the host decoded are kept as they are, and its video beside them to
look at: encoding is not the same every time. The figures are made of the frames, so they can be made again when a
metric changes.
"""

from __future__ import annotations

import json
import sys
import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random

import torch

from ..demo import api_graph, demo_graph
from ..demo.demo_graph import LOADER
from ..demo.precision import host_arguments
from ..demo.run import WORKFLOW
from ..errors import InputError
from ..launch import CLONE, base_folder, host_tree
from ..launch.console import LaunchError
from ..launch.host_process import needs_cpu_flag
from ..launch.run_result import NodeFailed, PromptInterrupted, PromptRefused, ServerError
from ..launch.server import Server
from ..metrics.steadiness import diversity
from ..video import ReferenceConfig, write_video
from ..whole_file import whole_file, write_json
from .case import Case, Figures, HasFrames, Result
from .clip_models import ClipModels
from .disk_full import DiskFull, telling_disk_full
from .figure_tables import FigureTables
from .frame_strip import read_strip, strip
from .methods import load
from .methods.method import Method
from .peak_memory import peak_bytes
from .report import FLOOR

FPS = 16
FRAMES = "frames"  # node that shows the frames as they were decoded
DYING = 5.0  # seconds that a host which no longer answers is given to be gone
COUNTER = CLONE / "nodes" / "bench_host" / "custom_nodes.yaml"


def loading(workflow: dict) -> ReferenceConfig:
    """What the workflow's loader takes of a video. Raises InputError where that comes from another node."""
    inputs = workflow[api_graph.only(workflow, LOADER)]["inputs"]
    values = {name: inputs[name] for name in ("start", "frames", "fps", "width", "height", "fit")}
    linked = [name for name, value in values.items() if isinstance(value, list)]
    if linked:
        raise InputError(f"Load Reference Video gets {linked[0]} from another node; the bench needs it as a value.")
    return ReferenceConfig(**values)


class HostNotStarted(ServerError):
    """No case's fault: nothing is skipped for it, the bench stops."""


class StaleResult(InputError):
    """What is kept is of another case: likewise."""


class BenchRuns:
    """A host that is started when the first run needs it.

    with BenchRuns(folder) as runs:
        result = runs.result("balanced", case, other)

    Args:
        folder: videos and figures that lie in it are not made again. half: the host's models in bfloat16.
        server: one that runs already. workflow: the API-form graph that methods change.
        seeds: how many videos are made of a case; the first is judged, all together give the diversity.
        clip: the models that CLIP's figures are told by; none leaves them out.
        tables: what they hold is not run again, and every result is added to them.
        judge_again: make the figures of kept frames anew, whatever is kept of them.
    """

    def __init__(
        self, folder: Path, half: bool = False, server: Server | None = None, workflow: dict | None = None,
        seeds: int = 1, clip: ClipModels | None = None, tables: FigureTables | None = None, judge_again: bool = False,
    ):  # fmt: skip
        self.folder, self._half, self._server, self._started = Path(folder), half, server, ExitStack()
        self._given = server
        self._seeds, self._clip_models, self._tables, self._judge_again = seeds, clip, tables, judge_again
        graph = workflow or api_graph.load(WORKFLOW)
        # What is uploaded is cut and resampled already.
        self._workflow = demo_graph.read(api_graph.with_input(graph, api_graph.only(graph, LOADER), "start", 0))
        self._clips: dict[str, HasFrames] = {}
        self._floor: tuple[str, torch.Tensor] | None = None  # a case's name and its frames without guidance
        self._uploaded: dict[tuple[str, str], str] = {}  # (method, reference) -> name in the host

    def __enter__(self) -> BenchRuns:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self._clip_models:
            try:
                self._clip_models.check(self._host())
            except BaseException:
                self._started.close()
                raise
        return self

    def __exit__(self, *exception) -> None:
        self._started.__exit__(*exception)

    def result(self, name: str, case: Case, other: Case) -> Result:
        """Figures of one method on one case; a graph that the host fails at, or a video that cannot be judged, is told
        and left out, whatever the error.

        Args:
            other: the case whose reference a method is given that wants an unrelated one.
        Raises:
            HostNotStarted, StaleResult or DiskFull: no case's fault, and so it would be with the next.
        """
        result = self.kept(name, case)
        with telling_disk_full(self.folder):
            if result is None:
                result = self._tried(name, case, other)
                told = {"case": case.told, "figures": result.figures, "skipped": result.skipped}
                write_json(self._file(name, case), told)
            if self._tables and self._tables.get(name, case.category, case.name) != result:
                self._tables.add(name, case.category, case.name, result)
        return result

    def kept(self, name: str, case: Case) -> Result | None:
        """What tables or files hold of it, which takes no time; None where it is still to be made."""
        again = self._judge_again and self._video(name, case).with_suffix(".run.json").exists()
        known = self._tables and self._tables.get(name, case.category, case.name)
        if known and known.figures is not None and not again:
            return known
        file = self._file(name, case)
        if not file.exists() or self._judge_again:
            return None
        told = json.loads(file.read_text(encoding="utf-8"))
        if told["figures"] is None:
            return None
        self._check_case(case, told)
        return Result(told["figures"])

    def _file(self, name: str, case: Case) -> Path:
        return self.folder / name / f"{case.name}.json"

    def _tried(self, name: str, case: Case, other: Case, once_more: bool = True) -> Result:
        """A case that the host dies of is tried once more, by a new host: it may have been the others before it."""
        try:
            with telling_disk_full(self.folder):
                return Result(self._judged(name, case, other))
        except Exception as error:
            self._blame_case(error)
            death = self._death(error)
            result = Result(None, _reason(death or error))
        return self._tried(name, case, other, once_more=False) if death and once_more else result

    def _blame_case(self, error: Exception) -> None:
        """Raises what is no case's fault."""
        if isinstance(error, (HostNotStarted, StaleResult, DiskFull)):
            raise error

    def _death(self, error: Exception) -> ServerError | None:
        """What the host died of, if the error came of its death; the next run then starts another.

        That one finds in the input folder what was uploaded to this one. Raises it for a host that is not ours.
        """
        answered = isinstance(error, (NodeFailed, PromptRefused, PromptInterrupted))
        patience = DYING if isinstance(error, ServerError) and not answered else 0.0
        if self._server is None or not self._server.process.has_ended(patience):
            return None
        try:
            self._server.process.check()
        except ServerError as death:
            if self._server is self._given:
                raise
            self._server = None
            self._started.close()
            return death

    def _check_case(self, case: Case, told: dict) -> None:
        """Raises StaleResult if what is kept was made of another case of that name."""
        if told.get("case", case.told) != case.told:
            raise StaleResult(
                f"{self.folder} holds results of {case.name} ({told['case']}), which now is another case "
                f"({case.told}). Give another --out."
            )

    def seconds(self, name: str, case: Case) -> float:
        """What the host takes for the method's graph on the case; of a method that needs no other case."""
        return self._made(name, load(name), case, case)["seconds"]

    def node_seconds(self, name: str, case: Case) -> dict[str, float]:
        """The same by nodes of the graph: id -> seconds."""
        return self._made(name, load(name), case, case)["nodes"]

    def peak_bytes(self) -> int | None:
        """The most memory that the host has held since it was started; None where the system does not say."""
        return peak_bytes(self._host().process.pid)

    def frames(self, name: str, case: Case, further: int = 0) -> torch.Tensor:
        """The kept result (T,H,W,3) of the case's seed, or of one further on."""
        return read_strip(self._video(name, case, further).with_suffix(".png"))

    def _video(self, name: str, case: Case, further: int = 0) -> Path:
        return self.folder / name / f"{case.name}{f'-seed{further}' if further else ''}.mp4"

    def _judged(self, name: str, case: Case, other: Case) -> Figures:
        method = load(name)
        clip = self._clip(case)
        told = self._made(name, method, case, other)
        figures = case.figures(clip, self.frames(name, case), self._unguided(case, other), method.shows_reference)
        if self._seeds > 1 and not method.shows_reference:
            for further in range(1, self._seeds):
                self._made(name, method, case, other, further)
            figures["diversity"] = diversity([self.frames(name, case, further) for further in range(self._seeds)])
        return {**figures, **told["clip"], "seconds": told["seconds"]}

    def make_unguided(self, case: Case, other: Case) -> None:
        """The video of the case that its results are held against, if it is not there.

        To be made before them: between a method's prompts it would make the host forget what it made of the reference.
        One that cannot be made is told with the results.
        """
        try:
            with telling_disk_full(self.folder):
                self._made(FLOOR, load(FLOOR), case, other)
        except Exception as error:
            self._blame_case(error)

    def _unguided(self, case: Case, other: Case) -> torch.Tensor:
        """Frames of the case without guidance; the same tensor for all of its methods, so that what is measured of it
        is kept."""
        if self._floor is None or self._floor[0] != case.name:
            self._made(FLOOR, load(FLOOR), case, other)
            self._floor = case.name, self.frames(FLOOR, case)
        return self._floor[1]

    def _made(self, name: str, method: Method, case: Case, other: Case, further: int = 0) -> dict:
        """Runs the method's graph unless its video is there. What is told of the run: "seconds", "nodes", "clip"."""
        video = self._video(name, case, further)
        kept = video.with_suffix(".run.json")
        if kept.exists():
            told = json.loads(kept.read_text(encoding="utf-8"))
            self._check_case(case, told)
            return told
        graph, save = self._graph(name, method, case, other, further)
        server = self._host()
        run = server.run(graph)
        _write(video.with_suffix(".png"), strip([server.fetch(file) for file in run.files(FRAMES)]))
        _write(video, server.fetch(run.files(save)[0]))
        images = graph[FRAMES]["inputs"]["images"]
        judges = None if further else self._clip_models
        # What shows the reference is not held against the prompt; of a filmed one nobody has written what it shows.
        shown = getattr(self._clip(case), "caption", None) if method.shows_reference else case.caption
        clip = judges.scores(server, graph, images, shown) if judges else {}
        told = {"case": case.told, "seconds": run.seconds, "nodes": run.node_seconds, "clip": clip}
        write_json(kept, told, None)
        return told

    def compute(self, name: str, category: str, cases: list[tuple[Case, Case]]) -> dict[str, float]:
        """`Compute.told` of one method on a case of a category, nothing kept from before; empty if it cannot run.

        It is about the same for every case of a category, so one is counted, apart from the timed runs. What guidance
        leaves out of a camera it does not leave out of a thing.

        Args:
            cases: each with another; the first that runs is counted.
        """
        told = self._tables and self._tables.compute(name, category)
        if not told:
            told = self._compute_kept_or_counted(name, category, cases)
            if self._tables and told:
                self._tables.add_compute(name, category, told)
        return told

    def _compute_kept_or_counted(self, name: str, category: str, cases: list[tuple[Case, Case]]) -> dict[str, float]:
        kept = self.folder / name / f"compute-{category}.json"
        if kept.exists() and (told := json.loads(kept.read_text(encoding="utf-8"))):
            return told
        for case, other in cases:
            try:
                with telling_disk_full(self.folder):
                    graph, _ = self._graph(name, load(name), case, other)
                    run = self._host().run(graph, extra_data={"vmt_count_compute": True})
                    told = self._host().get(f"/vmt_bench/compute/{run.prompt_id}")
            except Exception as error:
                self._blame_case(error)
                self._death(error)
                continue
            write_json(kept, told, None)
            return told
        return {}

    def _graph(self, name: str, method: Method, case: Case, other: Case, further: int = 0) -> tuple[dict, str]:
        """The method's graph for the case, with its reference uploaded, and the id of the node that saves."""
        if method.unrelated and other.about == case.about:
            raise InputError(f"{name} needs a case of another motion than {case.about!r}, and none was given.")
        shown = other if method.unrelated else case
        clip, place = self._clip(shown), (name, shown.name if method.perfect else shown.clip_name)
        if place not in self._uploaded:  # once, so that the host need not look at it again for another prompt
            frames = shown.perfect_transfer() if method.perfect else clip.frames
            if frames is None:
                raise InputError(f"{name} needs a clip whose motion is known exactly; {shown.clip_name} is filmed.")
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder, f"{name}-{len(self._uploaded)}-{Path(shown.clip_name).stem}.mp4")
                write_video(file, method.reference(frames, Random(" ".join(place))), getattr(clip, "fps", FPS))
                self._uploaded[place] = self._host().upload(file)
        demo = self._workflow.filled(self._uploaded[place], case.caption, case.seed + further)
        demo = replace(demo, caption=getattr(clip, "caption", ""))
        graph = method.graph(demo)
        return {**graph, FRAMES: {"class_type": "PreviewImage", "inputs": {"images": demo.images(graph)}}}, demo.save

    def _clip(self, case: Case) -> HasFrames:
        """The reference; the last few are kept, for all methods of a case run one after another."""
        if case.clip_name not in self._clips:
            self._clips = dict(list(self._clips.items())[-3:])
            self._clips[case.clip_name] = case.clip()
        return self._clips[case.clip_name]

    def _host(self) -> Server:
        if self._server is None:
            try:
                tree, base = host_tree.current(), base_folder.prepare()
                arguments = host_arguments(needs_cpu_flag(Path(sys.executable)), self._half)
                arguments += ["--extra-model-paths-config", str(COUNTER)]
                self._server = self._started.enter_context(Server(Path(sys.executable), tree, base, arguments))
            except (LaunchError, OSError) as error:
                raise HostNotStarted(str(error)) from error
        return self._server


def _reason(error: Exception) -> str:
    """What is raised on purpose says all by itself."""
    return str(error) if isinstance(error, (ServerError, InputError)) else f"{type(error).__name__}: {error}"


def _write(path: Path, content: bytes) -> None:
    with whole_file(path) as file:
        file.write_bytes(content)
