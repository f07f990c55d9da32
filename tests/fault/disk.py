# SPDX-License-Identifier: MIT
"""The driver's side of shim.c: a disk that loses power, fills up and fails, and a clock that jumps."""
import ctypes
import errno
import mmap
import os
import random
import shutil
import subprocess
import tempfile

SLOTS, WHOLE = 4096, 8192


class Slot(ctypes.Structure):
    _fields_ = [("device", ctypes.c_uint64), ("inode", ctypes.c_uint64), ("synced", ctypes.c_int64),
                ("kept", ctypes.c_int64), ("content", ctypes.c_ubyte * WHOLE)]


class Shared(ctypes.Structure):
    _fields_ = [("room", ctypes.c_int64), ("failing_sync", ctypes.c_int64), ("failing_read", ctypes.c_int64),
                ("clock_offset_us", ctypes.c_int64), ("syncs", ctypes.c_int64), ("writes", ctypes.c_int64),
                ("failing_write", ctypes.c_int64), ("failing_once", ctypes.c_int64), ("failing_errno", ctypes.c_int64),
                ("slots", Slot * SLOTS)]


class Disk:
    """What lies below `root`, as the preloaded library sees it."""

    def __init__(self, library, root, file):
        self.root, self.file, self.library = root, file, library
        with open(file, "wb") as f:
            f.truncate(ctypes.sizeof(Shared))
        self._handle = open(file, "r+b")
        self._map = mmap.mmap(self._handle.fileno(), 0)
        self.state = Shared.from_buffer(self._map)
        self.state.room = -1

    def environment(self):
        return {"LD_PRELOAD": self.library, "BITNETD_SHIM": self.file, "BITNETD_SHIM_ROOT": self.root}

    def lose_power(self, draw, torn=False):
        """Cuts every file back to what was synced; `torn`: some of the rest got through, in blocks of 512 bytes.
        Returns how many bytes were lost. The daemon must be dead."""
        slots = {(s.device, s.inode): s for s in self.state.slots if s.inode}
        lost = 0
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = os.path.join(folder, name)
                info = os.lstat(path)
                slot = slots.get((info.st_dev, info.st_ino))
                if slot is None:
                    continue
                keep = min(slot.synced, info.st_size)
                if torn and info.st_size > keep:
                    keep += draw.randrange((info.st_size - keep) // 512 + 1) * 512
                lost += info.st_size - keep
                with open(path, "r+b") as f:
                    f.truncate(keep)
                    if slot.kept >= 0 and keep == slot.kept:
                        f.write(bytes(slot.content[:slot.kept]))
        self.forget()
        return lost

    def fail_write(self, number, once=False, error=errno.EIO):
        """From now on the write of this number, counted from 1, fails, and unless `once` all after it; 0: none."""
        self.state.writes, self.state.failing_errno, self.state.failing_once = 0, error, once
        self.state.failing_write = number

    def forget(self):
        """What lies there now is on the disk."""
        for slot in self.state.slots:
            if not slot.inode:
                break
            slot.inode = 0

    def close(self):
        del self.state
        self._map.close()
        self._handle.close()


class SmallDisk:
    """A file system of its own below `folder` that has room for bytes and for so many files."""

    def __init__(self, folder, inodes):
        self.folder, self.filler = folder, os.path.join(folder, "filler")
        self.inodes = inodes

    @staticmethod
    def permitted():
        """Whether a file system can be mounted here: root may, in most containers nobody."""
        with tempfile.TemporaryDirectory() as folder:
            done = subprocess.run(["mount", "-t", "tmpfs", "none", folder], capture_output=True, check=False)
            return done.returncode == 0 and subprocess.run(["umount", folder], check=False).returncode == 0

    def use_up(self):
        os.mkdir(self.filler)
        try:
            for i in range(self.inodes):
                with open(os.path.join(self.filler, str(i)), "w", encoding="ascii"):
                    pass
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise

    def free(self):
        shutil.rmtree(self.filler)

    def __enter__(self):
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m,nr_inodes=%d" % self.inodes, "none", self.folder], check=True)
        return self

    def __exit__(self, *_):
        subprocess.run(["umount", "--lazy", self.folder], check=True)  # what still runs there ends later


def damage(root, seed):
    """Flips, cuts, zeroes or fills one place of one store file below `root`; says where and how."""
    draw = random.Random(seed)
    files = sorted(os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names
                   if name not in ("LOCK", "IDENTITY") and not name.startswith(("LOG", "OPTIONS")))
    files = [f for f in files if os.path.getsize(f) > 0]
    path = draw.choice(files)
    size = os.path.getsize(path)
    kind = draw.choice(("flip", "cut", "zeros", "garbage", "missing"))
    with open(path, "r+b") as f:
        if kind == "flip":
            at = draw.randrange(size)
            f.seek(at)
            byte = f.read(1)[0] ^ (1 << draw.randrange(8))
            f.seek(at)
            f.write(bytes([byte]))
        elif kind == "cut":
            f.truncate(draw.randrange(size))
        elif kind in ("zeros", "garbage"):
            f.seek(0, os.SEEK_END)
            f.write(bytes(4096) if kind == "zeros" else draw.randbytes(4096))
    if kind == "missing":
        os.remove(path)
    return "%s of %s (%d bytes)" % (kind, os.path.relpath(path, root), size)
