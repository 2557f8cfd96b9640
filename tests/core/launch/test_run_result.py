import pytest

from vmt.launch.run_result import NodeFailed, PromptInterrupted, RunResult, outcome, refusal


def test_times_and_cache_come_from_the_host_messages():
    messages = [
        ("execution_start", {"timestamp": 10_000}),
        ("execution_cached", {"timestamp": 10_100, "nodes": ["1", "3"]}),
        ("execution_success", {"timestamp": 12_500}),
    ]
    result = outcome("p", {"4": {"images": [{"filename": "a.png"}], "animated": [False]}}, messages)
    assert result.seconds == 2.5 and result.cached == {"1", "3"}
    assert result.files("4") == [{"filename": "a.png"}] and result.files("5") == []


def test_failed_and_interrupted_runs_raise():
    where = {"timestamp": 1, "node_id": "7", "node_type": "KSampler"}
    error = {**where, "exception_message": "out of range\n", "exception_type": "ValueError", "traceback": ["a", "b"]}
    with pytest.raises(NodeFailed, match=r"^KSampler \(node 7\): out of range$") as caught:
        outcome("p", {}, [("execution_error", error)])
    assert caught.value.node_message == "out of range" and caught.value.traceback == "ab"
    with pytest.raises(PromptInterrupted, match="KSampler"):
        outcome("p", {}, [("execution_interrupted", where)])


def test_refusal_names_every_node_or_gives_the_general_reason():
    errors = [{"message": "Value too small", "details": "steps"}, {"message": "Missing", "details": ""}]
    answer = {"error": {"message": "Prompt outputs failed validation"}, "node_errors": {"5": {"errors": errors}}}
    text = str(refusal(answer, {"5": {"class_type": "KSampler"}}))
    assert text == "KSampler (node 5): Value too small: steps\nKSampler (node 5): Missing"
    assert str(refusal({"error": {"message": "Prompt has no outputs", "details": ""}}, {})) == "Prompt has no outputs"


def test_default_result_is_empty():
    assert RunResult("p", {}).files("1") == []
