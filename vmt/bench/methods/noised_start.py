"""Control: started from the encoded reference under noise, without guidance (SDEdit, arXiv 2108.01073)."""

from ...demo import api_graph
from ...demo.transfer_runs import noised_start
from .method import Method

METHOD = Method(
    "no guidance, but started from the reference under noise",
    lambda demo: api_graph.keep(noised_start(demo), demo.save),
    control=True,
)
