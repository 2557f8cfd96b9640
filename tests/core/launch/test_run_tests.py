import pytest

from vmt.launch import CLONE, run_tests


@pytest.fixture
def given(monkeypatch):
    """What pytest is started with, in the place of starting it inside itself."""
    seen = []
    monkeypatch.setattr(pytest, "main", lambda options: seen.append(options) or 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "")  # so that it is put back as it was
    monkeypatch.delenv("OMP_NUM_THREADS")
    return seen


@pytest.mark.parametrize(("cores", "workers", "threads"), [(2, 2, 1), (3, 3, 1), (16, 4, 4)])
def test_all_tests_share_the_cores(given, monkeypatch, cores, workers, threads):
    monkeypatch.setattr(run_tests, "_cores", lambda: cores)
    assert run_tests.run([]) == 3
    (options,) = given
    assert options[:4] == ["--rootdir", str(CLONE), "-c", str(CLONE / "pyproject.toml")]
    assert options[4:6] == ["--numprocesses", str(workers)]
    assert run_tests.os.environ["OMP_NUM_THREADS"] == str(threads)


def test_own_options_and_single_cores_are_left_to_pytest(given, monkeypatch):
    monkeypatch.setattr(run_tests, "_cores", lambda: 1)
    run_tests.run([])
    monkeypatch.setattr(run_tests, "_cores", lambda: 2)
    run_tests.run(["tests/core", "-x"])
    assert [options[4:] for options in given] == [[], ["tests/core", "-x"]]
    assert "OMP_NUM_THREADS" not in run_tests.os.environ


def test_the_cores_of_this_process_are_counted():
    assert 1 <= run_tests._cores() <= (run_tests.os.cpu_count() or 1)
