"""Rules about C: format, layers, fences, banned calls, comments, numbers, lengths, pairs."""
import fnmatch
import re
import shutil
import subprocess

from . import tables
from .csource import CSource
from .tree import matches

_parsed = {}


def source(tree, path):
    key = (tree.root, path)
    if key not in _parsed:
        _parsed[key] = CSource(tree.text(path))
    return _parsed[key]


def c_files(tree, prefix=""):
    return [path for path in tree.select(tables.C_FILES, tables.SNIPPETS)
            if path.startswith(prefix)]


def layer_of(path):
    parts = path.split("/")
    return parts[1] if parts[0] == "src" and len(parts) > 2 else None


def check_format(tree):
    tool = shutil.which("clang-format-14")
    if tool is None:
        yield ".clang-format", 1, "clang-format-14 is not installed (tools/install-deps test)"
        return
    files = c_files(tree)
    if not files:
        return
    run = subprocess.run([tool, "--dry-run", *files], cwd=tree.root, capture_output=True,
                         text=True, check=False)
    seen = set()
    for match in re.finditer(r"^(\S+?):(\d+):\d+: \w+: (.*)$", run.stderr, re.MULTILINE):
        if match.group(1) not in seen:
            seen.add(match.group(1))
            yield match.group(1), int(match.group(2)), "not clang-formatted (make fmt)"
    if run.returncode != 0 and not seen:
        yield ".clang-format", 1, "clang-format failed: " + run.stderr.strip()[:200]


def check_layering(tree):
    for path in c_files(tree, "src/"):
        layer = layer_of(path)
        if layer not in tables.LAYERS:
            yield path, 1, f"no such layer: {layer}"
            continue
        allowed = {layer, *tables.LAYERS[layer]}
        for line, name, is_quoted in source(tree, path).includes():
            if not is_quoted:
                continue
            if not tree.has("src/" + name):
                yield path, line, f"{name}: includes are named from src/ and must exist"
            elif name.split("/")[0] not in allowed:
                yield path, line, f"{layer} may not include {name}"


def headers_met(tree, name, is_quoted, seen):
    """The header, and when it is ours every header it brings along."""
    yield name
    path = "src/" + name
    if not is_quoted or not tree.has(path) or path in seen:
        return
    seen.add(path)
    for _, inner, is_inner_quoted in source(tree, path).includes():
        yield from headers_met(tree, inner, is_inner_quoted, seen)


def fence_faults(path, name, met, fences):
    for header, owners in fences:
        if not matches(path, owners) and any(other.startswith(header) for other in met):
            through = "" if name.startswith(header) else f" (through {name})"
            yield f"{header}{through} belongs to {', '.join(owners)}"


def check_fence(tree):
    for path in c_files(tree, "src/"):
        for line, name, is_quoted in source(tree, path).includes():
            met = set(headers_met(tree, name, is_quoted, set()))
            faults = [*fence_faults(path, name, met, tables.FENCES),
                      *fence_faults(path, name, [name], tables.DIRECT_FENCES)]
            for fault in faults:
                yield path, line, fault


def check_banned(tree):
    pattern = re.compile(rf"(?<![\w.>])({'|'.join(tables.BANNED_CALLS)})\s*\(")
    for path in c_files(tree):
        c = source(tree, path)
        for match in pattern.finditer(c.code):
            name = match.group(1)
            yield path, c.line_of(match.start()), f"{name}: {tables.BANNED_CALLS[name]}"


def names_secret(text):
    return any(word.lower() in tables.SECRET_WORDS for word in re.findall(r"[A-Za-z]+", text))


def check_constant_time(tree):
    for path in c_files(tree, "src/"):
        c = source(tree, path)
        for name in tables.QUICK_COMPARISONS:
            for offset, arguments in c.calls(name):
                compared = " ".join(c.code[start:end] for start, end in arguments)
                if path in tables.SECRET_FILES or names_secret(compared):
                    yield path, c.line_of(offset), f"{name} on a secret: use crypto_equal"


def may_allocate(path, function):
    return (path in tables.ALLOCATION_FILES
            or re.search(tables.ALLOCATION_FUNCTIONS, function) is not None
            or function in tables.ALLOCATION_EXCEPTIONS.get(path, []))


def check_allocation(tree):
    pattern = re.compile(rf"(?<![\w.>])({'|'.join(tables.ALLOCATION_CALLS)})\s*\(")
    for path in c_files(tree, "src/"):
        c = source(tree, path)
        for match in pattern.finditer(c.code):
            line = c.line_of(match.start())
            if not may_allocate(path, c.function_at(line)):
                yield path, line, f"{match.group(1)}: memory comes from an arena"


def check_line_comment(tree):
    for path in c_files(tree):
        c = source(tree, path)
        for offset in c.line_comments:
            yield path, c.line_of(offset), "// is for local debugging; use /* */"


def check_float(tree):
    pattern = re.compile(r"\b(?:float|double)\b|(?<![\w.])\d+\.\d*|(?<![\w.])\.\d+"
                         r"|\b(?:bind_real|column_real|in_number|out_number)\b")
    for path in c_files(tree, "src/domain/"):
        c = source(tree, path)
        for match in pattern.finditer(c.code):
            yield path, c.line_of(match.start()), f"{match.group()}: no floating point in domain/"


def check_function_length(tree):
    for path in c_files(tree):
        for name, first, last in source(tree, path).functions:
            lines = last - first + 1
            if lines > tables.FUNCTION_LINES_MAX:
                yield path, first, (f"{name} has {lines} lines; "
                                    f"{tables.FUNCTION_LINES_MAX} is the limit")


def lines_count(tree, path):
    return tree.text(path).count("\n")


def check_file_length(tree):
    for path in c_files(tree):
        for pattern, most in tables.FILE_LINES_MAX:
            if fnmatch.fnmatchcase(path, pattern) and lines_count(tree, path) > most:
                yield path, most + 1, f"{lines_count(tree, path)} lines; {most} is the limit"


def module_of(tree, layer, name):
    """The module a source file or test of that name is part of: the longest x with a header."""
    parts = name.split("_")
    for count in range(len(parts), 0, -1):
        module = "_".join(parts[:count])
        if tree.has(f"src/{layer}/{module}.h"):
            return module
    return None


def stem(path):
    return path.split("/")[-1].rsplit(".", 1)[0]


def check_header_pair(tree):
    for path in c_files(tree, "src/"):
        if path.endswith(".c") and not matches(path, tables.HEADER_ELSEWHERE):
            if module_of(tree, layer_of(path), stem(path)) is None:
                yield path, 1, f"{path[:-2]}.h is missing: the header is the contract"


def is_tested(tree, layer, name):
    module = module_of(tree, layer, name)
    for test in tree.select([f"tests/unit/{layer}/test_*.c"]):
        tested = stem(test).removeprefix("test_")
        if tested == name:
            return True
        if module is not None and module_of(tree, layer, tested) == module:
            return True
    return False


def check_test_pair(tree):
    for path in c_files(tree, "src/"):
        layer = layer_of(path)
        if layer not in tables.TESTED_LAYERS or not path.endswith(".c"):
            continue
        has_test = is_tested(tree, layer, stem(path)) or matches(path, tables.TEST_ELSEWHERE)
        is_owed = path in tables.FILES_NOT_YET_TESTED
        if not has_test and not is_owed:
            yield path, 1, f"tests/unit/{layer}/test_{stem(path)}.c is missing"
        if has_test and is_owed:
            yield path, 1, "tested now: take it off FILES_NOT_YET_TESTED"


def report(tree):
    """What is long but still allowed, longest first."""
    rows = []
    for path in c_files(tree):
        lines = lines_count(tree, path)
        if lines > tables.FILE_LINES_LONG:
            rows.append((lines, f"{path}: file of {lines} lines"))
        for name, first, last in source(tree, path).functions:
            if last - first + 1 > tables.FUNCTION_LINES_LONG:
                rows.append((last - first + 1,
                             f"{path}:{first}: {name} has {last - first + 1} lines"))
    return [text for _, text in sorted(rows, reverse=True)]


RULES = {
    "format": check_format,
    "layering": check_layering,
    "fence": check_fence,
    "banned": check_banned,
    "allocation": check_allocation,
    "constant-time": check_constant_time,
    "line-comment": check_line_comment,
    "float": check_float,
    "function-length": check_function_length,
    "file-length": check_file_length,
    "header-pair": check_header_pair,
    "test-pair": check_test_pair,
}
