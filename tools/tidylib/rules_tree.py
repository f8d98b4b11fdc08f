"""Rules about every tracked file: leftovers, what a clone must not carry, size."""
import glob
import re
import shutil
import subprocess

from . import tables


def lines_matching(tree, paths, pattern):
    for path in paths:
        for number, line in enumerate(tree.text(path).split("\n"), 1):
            match = pattern.search(line)
            if match:
                yield path, number, match.group()


def check_leftover(tree):
    pattern = re.compile(r"\b(?:FIXME|TODO|XXX)\b")
    files = tree.select(tables.PROSE_AND_CODE, tables.TIDY_ITSELF)
    for path, line, word in lines_matching(tree, files, pattern):
        yield path, line, f"{word}: finish it, or open an issue"
    conflict = re.compile(r"^(?:<{7}|>{7}) ")
    for path, line, _ in lines_matching(tree, tree.select(["*"], tables.TIDY_ITSELF), conflict):
        yield path, line, "a conflict of two branches: settle it"


def check_machine_path(tree):
    parts = [tables.MACHINE_PATHS]
    if len(tree.root.parts) > 2:  # a clone at /src says nothing about a line with /src in it
        parts.append(rf"(?<![\w.}})]){re.escape(str(tree.root))}(?![\w-])")
    pattern = re.compile("|".join(parts))
    files = tree.select(["*"], tables.TIDY_ITSELF)
    for path, line, word in lines_matching(tree, files, pattern):
        yield path, line, f"{word}: a path of one machine"


def leads_somewhere(tree, path):
    return any(glob.glob(str(tree.root / (folder + path + end)))
               for folder in tables.DOC_PATH_FOLDERS for end in tables.DOC_PATH_ENDS)


def check_doc_path(tree):
    """A link, and a path of the project in a page, lead somewhere."""
    link = re.compile(r"\]\((?!https?:)([^)#\s]+)")
    named = re.compile(tables.DOC_PATH)
    for page in tree.select(["*.md"], tables.TIDY_ITSELF):
        for number, line in enumerate(tree.text(page).split("\n"), 1):
            folder = (tree.root / page).parent
            for path in link.findall(line):
                if not (folder / path).exists():
                    yield page, number, f"{path}: nothing is there"
            for path in named.findall(line):
                if not leads_somewhere(tree, path):
                    yield page, number, f"{path}: nothing is there"


def machine_hosts():
    """The hosts this machine installs packages from, when they are not the public ones."""
    text = ""
    for path in glob.glob("/etc/apt/sources.list") + glob.glob("/etc/apt/sources.list.d/*"):
        with open(path, encoding="utf-8", errors="replace") as file:
            text += file.read() + "\n"
    npm = shutil.which("npm")
    if npm:
        text += subprocess.run([npm, "config", "get", "registry"], capture_output=True, text=True,
                               check=False).stdout
    hosts = re.findall(r"https?://(?:[^/\s@]*@)?([^/\s\]]+)", text)
    return sorted(set(hosts) - set(tables.PUBLIC_HOSTS))


def check_registry(tree):
    hosts = [re.escape(host) for host in machine_hosts()]
    pattern = re.compile("|".join([r'"resolved":\s*"https?://', r"https?://registry\.", *hosts]))
    files = tree.select(["*"], tables.TIDY_ITSELF)
    for path, line, word in lines_matching(tree, files, pattern):
        yield path, line, f"{word}: names a package registry"


def check_provenance(tree):
    pattern = re.compile(tables.PROVENANCE, re.IGNORECASE)
    files = tree.select(["*"], tables.TIDY_ITSELF + ["*/package-lock.json"])
    for path, line, word in lines_matching(tree, files, pattern):
        yield path, line, f"{word}: the project speaks of itself alone"


def check_file_size(tree):
    for path in tree.files:
        if tree.size_bytes(path) > tables.FILE_BYTES_MAX:
            yield path, 1, f"{tree.size_bytes(path)} bytes; {tables.FILE_BYTES_MAX} is the limit"


RULES = {
    "leftover": check_leftover,
    "machine-path": check_machine_path,
    "doc-path": check_doc_path,
    "registry": check_registry,
    "provenance": check_provenance,
    "file-size": check_file_size,
}
