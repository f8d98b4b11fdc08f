"""The files under check, read once."""
import fnmatch
import functools
import os
import subprocess

SKIPPED_FOLDERS = {".git", "build", "data", "node_modules", "__pycache__"}


def matches(path, patterns):
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


class Tree:
    def __init__(self, root):
        self.root = root
        self.files = sorted(path for path in self._names() if (root / path).is_file())
        self.notes = []

    def _names(self):
        """What git tracks or would track; without git, everything but build products."""
        if (self.root / ".git").exists():
            listing = subprocess.run(
                ["git", "-C", str(self.root), "ls-files", "-z", "--cached", "--others",
                 "--exclude-standard"],
                capture_output=True, check=False)
            if listing.returncode == 0:
                return listing.stdout.decode().rstrip("\0").split("\0")
        return self._walk()

    def _walk(self):
        names = []
        for folder, folders, files in os.walk(self.root):
            folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
            names += [os.path.relpath(os.path.join(folder, name), self.root) for name in files]
        return names

    def select(self, patterns, without=()):
        return [path for path in self.files
                if matches(path, patterns) and not matches(path, without)]

    @functools.lru_cache(maxsize=None)
    def text(self, path):
        """The file's text; "" for bytes that are not text."""
        data = (self.root / path).read_bytes()
        if b"\0" in data:
            return ""
        return data.decode("utf-8", errors="replace")

    def size_bytes(self, path):
        return (self.root / path).stat().st_size

    def has(self, path):
        return path in self._file_set

    @functools.cached_property
    def _file_set(self):
        return set(self.files)
