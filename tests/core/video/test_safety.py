"""What a hostile file must not do."""

import io
import socket

import pytest

from vmt.errors import InputError
from vmt.video import open_source


@pytest.mark.parametrize("as_bytes", [False, True])
def test_a_playlist_reaches_no_address(tmp_path, as_bytes):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = f"http://127.0.0.1:{listening.getsockname()[1]}/a.ts"
        path = tmp_path / "list.m3u8"
        path.write_text(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}\n#EXT-X-ENDLIST\n")
        # Backlogged connections wait to be accepted, so none can be missed.
        with pytest.raises(InputError):
            open_source(io.BytesIO(path.read_bytes()) if as_bytes else path)
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()


def test_a_playlist_of_local_files_is_not_followed(clips, tmp_path):
    clips.write_numbered(tmp_path / "other.ts", 9)
    path = tmp_path / "list.m3u8"
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nother.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(InputError, match=r"list\.m3u8 (is not a video file|cannot be opened)"):
        open_source(path)
