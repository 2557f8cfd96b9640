"""What a hostile file must not do."""

import io
import socket
import threading

import pytest
from PIL import Image

from vmt.errors import InputError
from vmt.video import open_source


@pytest.fixture
def listener():
    """An address on this machine, and the list of what connected to it."""
    reached, done = [], threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.05)

        def answer():
            while not done.is_set():
                try:
                    connection, address = server.accept()
                except TimeoutError:
                    continue
                reached.append(address)
                connection.close()

        thread = threading.Thread(target=answer)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}", reached
        done.set()
        thread.join()


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_playlist_reaches_no_address(tmp_path, listener, as_bytes):
    address, reached = listener
    path = tmp_path / "list.m3u8"
    path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nhttp://{address}/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError):
        open_source(io.BytesIO(path.read_bytes()) if as_bytes else path)
    assert not reached


def test_a_webp_of_huge_frames_is_not_decoded(tmp_path, monkeypatch):
    Image.new("RGB", (64, 48)).save(tmp_path / "huge.webp")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match=r"huge\.webp has frames of more than 2000 pixels"):
        open_source(tmp_path / "huge.webp")


def test_a_playlist_of_local_files_is_not_followed(clips, tmp_path):
    clips.write_numbered(tmp_path / "other.ts", 9)
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError, match=r"list\.m3u8 (is not a video file|cannot be opened)"):
        open_source(path)
