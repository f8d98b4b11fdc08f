"""Rules about SQL: statements are literals, and every one that meets a tenant's rows says whose."""
import re

from . import tables
from .rules_c import c_files, source
from .tree import matches

PIECE = re.compile(r'\s*(?:"((?:\\.|[^"\\\n])*)"|([A-Z][A-Z0-9_]*)\b)')
EXCEPTION = re.compile(r"/\*\s*tenant:\s*\S.{9,}\*/", re.DOTALL)


def macros(tree):
    found = {}
    for path in c_files(tree, "src/"):
        found.update(source(tree, path).literal_macros())
    return found


def literal_text(text, known, depth=0):
    """The text of a run of string literals and of macros made of such; None when it is anything
    else."""
    text = re.sub(r"/\*.*?\*/", " ", text, flags=re.DOTALL).strip()
    parts, at = [], 0
    while at < len(text):
        match = PIECE.match(text, at)
        if match is None:
            return None
        if match.group(2) is not None:
            inner = known.get(match.group(2))
            part = literal_text(inner, known, depth + 1) if inner and depth < 8 else None
            if part is None:
                return None
            parts.append(part)
        else:
            parts.append(match.group(1))
        at = match.end()
    return "".join(parts) if parts else None


def statements(tree):
    """(path, line, source, statement's text or None) of every call that takes SQL."""
    known = macros(tree)
    for path in c_files(tree, "src/"):
        c = source(tree, path)
        for name, index in tables.SQL_CALLS.items():
            for offset, arguments in c.calls(name):
                if len(arguments) <= index:
                    continue
                start, end = arguments[index]
                argument = c.text[start:end]
                if argument.strip().startswith("const char"):
                    continue  # the function's own declaration
                yield path, c.line_of(offset), c, literal_text(argument, known)


def check_sql_literal(tree):
    for path, line, _, text in statements(tree):
        if text is None and path not in tables.SQL_COMPUTED:
            yield path, line, "SQL is a string literal with bound values, nothing computed"
    for path in c_files(tree, "src/"):
        c = source(tree, path)
        for offset, _ in c.calls(tables.SCRIPT_CALL):
            if not matches(path, tables.SCRIPT_FILES):
                yield path, c.line_of(offset), "db_script is for migrations"


def tenant_tables(tree):
    """The tables whose definition in the migrations has the tenant's column."""
    found = set()
    for path in tree.select(["sql/*.sql"]):
        for name, body in re.findall(r"\bCREATE TABLE\s+(?:IF NOT EXISTS\s+)?(\w+)\s*\((.*?)\n\)",
                                     tree.text(path), re.DOTALL | re.IGNORECASE):
            if re.search(rf"^\s*{tables.TENANT_COLUMN}\b", body, re.MULTILINE):
                found.add(name.lower())
    return found


def tables_met(text, wanted):
    met = re.findall(r"\b(?:FROM|JOIN|UPDATE(?:\s+OR\s+\w+)?)\s+(\w+)", text, re.IGNORECASE)
    return sorted({table for table in met if table.lower() in wanted})


def binds_tenant(text):
    parts = re.split(r"\b(?:WHERE|ON|USING)\b", text, maxsplit=1, flags=re.IGNORECASE)
    return len(parts) == 2 and re.search(rf"\b{tables.TENANT_COLUMN}\b", parts[1]) is not None


def has_exception(c, line):
    """Does a comment with a reason end on the statement's line or the two before it?"""
    return any(EXCEPTION.fullmatch(text) and line - 2 <= c.line_of(end - 1) <= line
               for _, end, text in c.comments)


def check_tenant(tree):
    wanted = tenant_tables(tree)
    for path, line, c, text in statements(tree):
        if text is None or path in tables.TENANT_EXEMPT_FILES:
            continue
        met = tables_met(text, wanted)
        if met and not binds_tenant(text) and not has_exception(c, line):
            yield path, line, (f"{', '.join(met)}: bind {tables.TENANT_COLUMN}, or say why not in "
                               "/* tenant: reason */ on the line before")


RULES = {"sql-literal": check_sql_literal, "tenant": check_tenant}
