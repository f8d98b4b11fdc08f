"""A C file as text whose comments and literals are blanked, so that patterns meet only code."""
import bisect
import functools
import re

TOKEN = re.compile(
    r"""(?P<block>/\*.*?\*/)
      | (?P<line>//[^\n]*)
      | (?P<string>"(?:\\.|[^"\\\n])*")
      | (?P<char>'(?:\\.|[^'\\\n])*')""",
    re.VERBOSE | re.DOTALL)
CALLED = re.compile(r"(\w+)\s*\(")
DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w+)((?:\\\n|[^\n])*)", re.MULTILINE)


def blank(text):
    return re.sub(r"[^\n]", " ", text)


class CSource:
    def __init__(self, text):
        self.text = text
        self.line_comments = []  # offsets
        self.comments = []  # (offset, end, text)
        self.code = TOKEN.sub(self._blank_token, text)
        self._starts = [0] + [match.end() for match in re.finditer("\n", text)]

    def _blank_token(self, match):
        token = match.group()
        if match.lastgroup in ("string", "char"):
            return token[0] + blank(token[1:-1]) + token[-1]
        if match.lastgroup == "line":
            self.line_comments.append(match.start())
        self.comments.append((match.start(), match.end(), token))
        return blank(token)

    def line_of(self, offset):
        return bisect.bisect_right(self._starts, offset)

    def includes(self):
        """(line, name, is_quoted) of every #include."""
        pattern = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"\n]+)[>"]', re.MULTILINE)
        return [(self.line_of(match.start()), match.group(2), match.group(1) == '"')
                for match in pattern.finditer(self.text) if self._is_code(match)]

    def _is_code(self, directive):
        """Does the matched directive stand outside comments and literals?"""
        return "#" in self.code[directive.start():directive.end()]

    @functools.cached_property
    def functions(self):
        """(name, first line, last line) of every function body in the house's format: the brace
        and its partner stand in the first column."""
        lines = self.code.split("\n")
        found = []
        for at, line in enumerate(lines):
            if line.rstrip() != "{":
                continue
            first = at
            while first > 0 and re.match(r"[^\s#}].*[^;}]\s*$|\s+\S.*[^;}]\s*$", lines[first - 1]):
                first -= 1
            last = at
            while last < len(lines) - 1 and not lines[last].startswith("}"):
                last += 1
            found.append((declared_name(" ".join(lines[first:at])), first + 1, last + 1))
        return found

    def function_at(self, line):
        for name, first, last in self.functions:
            if first <= line <= last:
                return name
        return ""

    def calls(self, name):
        """(offset, [(start, end) of each argument]) of every call of name."""
        for match in re.finditer(rf"(?<![\w.>]){name}\s*\(", self.code):
            yield match.start(), self._arguments(match.end())

    def _arguments(self, at):
        depth, start, arguments = 0, at, []
        for here in range(at, len(self.code)):
            c = self.code[here]
            if c in "([{":
                depth += 1
            elif c in ")]}" and depth > 0:
                depth -= 1
            elif c == ")":
                return arguments + [(start, here)]
            elif c == "," and depth == 0:
                arguments.append((start, here))
                start = here + 1
        return arguments

    def literal_macros(self):
        """name → text of every macro that is nothing but string literals and such macros."""
        return {match.group(1): match.group(2).replace("\\\n", " ")
                for match in DEFINE.finditer(self.text) if self._is_code(match)}


def declared_name(signature):
    """The function a signature declares: the last name called at the outermost level, so that
    attribute macros before it do not count."""
    name, depth, at = "", 0, 0
    while at < len(signature):
        match = CALLED.match(signature, at)
        if match and depth == 0:
            name, depth, at = match.group(1), 1, match.end()
            continue
        depth += {"(": 1, ")": -1}.get(signature[at], 0)
        word = re.match(r"\w+", signature[at:])
        at += word.end() if word else 1
    return name
