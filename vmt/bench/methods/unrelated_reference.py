"""Control: guided by another case's reference, judged against its own. The floor of a metric under guidance."""

from .balanced import METHOD as BALANCED
from .method import Method

METHOD = Method("guided by another case's reference", BALANCED.graph, unrelated=True, control=True)
