"""What is written to a file that may fail."""

import os
from pathlib import Path
from threading import Thread

from dify_etl.lossy_files import LossyFile


def test_a_pipe_with_little_room_gets_all() -> None:
    """The system takes a part of it at a time; a pipe that does not wait is waited for."""
    end, begin = os.pipe()
    os.set_blocking(begin, False)
    sent = os.urandom(1 << 20)
    got = bytearray()

    def read() -> None:
        while chunk := os.read(end, 10_000):
            got.extend(chunk)

    reader = Thread(target=read)
    reader.start()
    file = LossyFile(begin)
    assert file.write(sent) == len(sent)
    os.close(begin)
    reader.join()
    os.close(end)
    assert bytes(got) == sent
    assert file.failure is None


def test_what_comes_after_a_failure_is_dropped() -> None:
    """A device that is always full refuses all; whoever asks is told why, once."""
    told: list[OSError] = []
    with LossyFile(Path("/dev/full"), on_failure=told.append) as file:
        assert [file.write(b"a"), file.write(b"bc")] == [1, 2]
    assert file.failure is not None
    assert told == [file.failure]
