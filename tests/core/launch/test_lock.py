import subprocess
import sys
import threading

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
