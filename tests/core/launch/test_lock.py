import errno
import os
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest

from vmt.launch import lock
from vmt.launch.lock import only_one

HOLD = """
import sys, time; sys.path.append({clone!r})
from pathlib import Path
from vmt.launch.lock import only_one
with only_one(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_lock_is_waited_for_and_dropped_when_its_holder_is_killed(tmp_path, capsys):
    from vmt.launch import CLONE

    path = tmp_path / "setup.lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD.format(clone=str(CLONE)), str(path)], stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "held\n"
    got = threading.Event()

    def wait():
        with only_one(path):
            got.set()

    waiter = threading.Thread(target=wait, daemon=True)
    waiter.start()
    assert not got.wait(1.0)
    holder.kill()
    holder.wait()
    assert got.wait(30)
    waiter.join()
    assert "waiting" in capsys.readouterr().out


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_without_locks_it_goes_on_and_says_so_once(tmp_path, monkeypatch, capsys, code):
    def flock(descriptor, how):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(lock, "fcntl", SimpleNamespace(flock=flock, LOCK_EX=2, LOCK_NB=4))
    monkeypatch.setattr(lock.time, "sleep", lambda seconds: pytest.fail("waits for nobody"))
    with only_one(tmp_path / "setup.lock"):
        pass
    assert capsys.readouterr().out.count("cannot be locked") == 1
