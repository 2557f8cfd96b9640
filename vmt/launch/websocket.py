"""Listens to a WebSocket (RFC 6455): enough to follow ComfyUI's event messages, from the standard library alone."""

from __future__ import annotations

import base64
import json
import os
import socket
import struct
import time

TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA


class EventStream:
    """Messages of the server at ws://host:port/path, one dict each. A context manager."""

    def __init__(self, host: str, port: int, path: str) -> None:
        self._socket = socket.create_connection((host, port), timeout=10)
        self._buffer = b""
        self.is_open = True
        try:
            self._shake_hands(host, port, path)
        except BaseException:
            self.close()
            raise

    def _shake_hands(self, host: str, port: int, path: str) -> None:
        key = base64.b64encode(os.urandom(16)).decode()
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        deadline = time.monotonic() + 10
        while b"\r\n\r\n" not in self._buffer:
            if not self._fill(deadline):
                raise ConnectionError(f"{host}:{port} did not answer the WebSocket request.")
        head, self._buffer = self._buffer.split(b"\r\n\r\n", 1)
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            raise ConnectionError(f"{host}:{port} refused the WebSocket: {head[:80]!r}")

    def receive(self, timeout: float) -> dict | None:
        """The next JSON message; None when none came within `timeout` seconds or the server closed."""
        deadline = time.monotonic() + timeout
        while self.is_open:
            frame = self._take_frame()
            if frame is None:
                if not self._fill(deadline):
                    return None
                continue
            kind, payload = frame
            if kind == TEXT:
                return json.loads(payload)
            if kind == PING:
                self._send(PONG, payload)
            elif kind == CLOSE:
                self.is_open = False
            # Else a preview picture in binary, which nobody here looks at.
        return None

    def _fill(self, deadline: float) -> bool:
        """Reads what has come. A frame cut in two by the deadline stays in the buffer for the next call."""
        self._socket.settimeout(max(deadline - time.monotonic(), 0.001))
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            return False
        except OSError:
            data = b""
        if not data:
            self.is_open = False
        self._buffer += data
        return bool(data)

    def _take_frame(self) -> tuple[int, bytes] | None:
        """One whole frame off the buffer. ComfyUI sends messages unsplit, and servers do not mask."""
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        kind, size, start = buffer[0] & 0x0F, buffer[1] & 0x7F, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                return None
            size = struct.unpack(">H" if start == 4 else ">Q", buffer[2:start])[0]
        if len(buffer) < start + size:
            return None
        self._buffer = buffer[start + size :]
        return kind, buffer[start : start + size]

    def _send(self, kind: int, payload: bytes) -> None:
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self._socket.sendall(bytes([0x80 | kind, 0x80 | len(payload)]) + mask + masked)

    def close(self) -> None:
        self.is_open = False
        self._socket.close()

    def __enter__(self) -> EventStream:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
