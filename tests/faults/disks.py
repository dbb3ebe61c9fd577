"""Disks that can be cut off, filled or made read-only."""

import fcntl
import os
import pathlib
import struct
import subprocess

import pytest

#: EXT4_IOC_SHUTDOWN, and its flag "without writing the journal": what was not flushed to the disk is lost.
SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2


def run(*command) -> subprocess.CompletedProcess:
    return subprocess.run([str(word) for word in command], capture_output=True, text=True)


class Mount:
    """A mounted file system; a context that unmounts at its end."""

    def __init__(self, path: pathlib.Path):
        self.path = path
        path.mkdir(exist_ok=True, mode=0o700)

    def unmount(self):
        done = run("umount", self.path)
        assert done.returncode == 0, done.stderr

    def __enter__(self):
        return self

    def __exit__(self, *_):
        run("umount", self.path)


class Ext4(Mount):
    """An ext4 in a file, on a loop device."""

    def __init__(self, folder: pathlib.Path, mebibytes: int = 384):
        super().__init__(folder / "ext4")
        self.image = folder / "ext4.image"
        with self.image.open("wb") as file:
            file.truncate(mebibytes << 20)
        done = run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", "lazy_itable_init=0", self.image)
        if done.returncode != 0:
            pytest.skip(f"mkfs.ext4: {done.stderr.strip()}")
        done = run("mount", "-o", "loop,errors=remount-ro", self.image, self.path)
        if done.returncode != 0:
            pytest.skip(f"no loop device: {done.stderr.strip()}")

    def mount(self):
        done = run("mount", "-o", "loop,errors=remount-ro", self.image, self.path)
        assert done.returncode == 0, done.stderr

    def cut(self):
        """The power goes: from now on nothing reaches the disk, and what was only in memory never does."""
        folder = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        finally:
            os.close(folder)

    def replug(self):
        """Mounts again; the file system replays its own journal."""
        self.unmount()
        self.mount()

    def break_down(self) -> bool:
        """The kernel finds an error and makes the file system read-only; false where it has no switch for that."""
        device = pathlib.Path(run("findmnt", "-n", "-o", "SOURCE", self.path).stdout.strip()).name
        switch = pathlib.Path(f"/sys/fs/ext4/{device}/trigger_fs_error")
        if not switch.exists():
            return False
        switch.write_text("planted")
        return True

    def repair(self):
        self.unmount()
        done = run("fsck.ext4", "-y", self.image)
        assert done.returncode in (0, 1), done.stdout
        self.mount()


class Memory(Mount):
    """A tmpfs of so many MiB, or so many files."""

    def __init__(self, path: pathlib.Path, mebibytes: int = 64, inodes: int = 0):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        super().__init__(path)
        options = f"size={mebibytes}m,mode=0700" + (f",nr_inodes={inodes}" if inodes else "")
        done = run("mount", "-t", "tmpfs", "-o", options, "tmpfs", path)
        assert done.returncode == 0, done.stderr

    def fill(self):
        """Writes until not a byte fits any more."""
        with (self.path / "filler").open("ab", buffering=0) as file:
            for size in (1 << 20, 4096, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass

    def fill_inodes(self):
        (self.path / "fillers").mkdir(exist_ok=True)
        number = 0
        while True:
            try:
                (self.path / "fillers" / str(number)).touch()
            except OSError:
                return
            number += 1

    def free(self):
        run("rm", "-rf", self.path / "filler", self.path / "fillers")
