"""Rules about api/openapi.json: every operation has a scope (or none on purpose), a summary, and a
test that names it."""
import json
import re

from . import tables

METHODS = ["get", "put", "post", "delete", "options", "head", "patch", "trace"]


def operations(document):
    for path, item in document.get("paths", {}).items():
        for method in METHODS:
            if method in item:
                yield f"{method.upper()} {path}", item[method]


def line_of(text, operation_id):
    at = text.find(f'"{operation_id}"')
    return text.count("\n", 0, at) + 1 if at >= 0 else 1


def needs_scope(document, operation):
    """Only operations that an API key opens have scopes."""
    security = operation.get("security", document.get("security", []))
    return any(tables.API_KEY_SCHEME in requirement for requirement in security)


def is_in_tests(name, operation_id, tests_text):
    """Named by its id, or called by its path with something in place of each parameter."""
    path = re.escape(name.split(" ", 1)[1])
    path = re.sub(r"\\\{\w+\\\}", r"[^/\\s\"'`]+", path)
    return re.search(rf"\b{operation_id}\b|{path}(?=[\s\"'`?])", tests_text) is not None


def faults(document, name, operation, tests_text):
    operation_id = operation.get("operationId")
    if not operation_id:
        yield f"{name} has no operationId"
        return
    if not str(operation.get("summary", "")).strip():
        yield f"{operation_id} has no summary"
    has_scope = isinstance(operation.get("x-scope"), str)
    if needs_scope(document, operation) and not has_scope and operation_id not in tables.NO_SCOPE:
        yield f"{operation_id} has no x-scope and is not listed as needing none"
    is_tested = is_in_tests(name, operation_id, tests_text)
    is_owed = operation_id in tables.OPERATIONS_NOT_YET_TESTED
    if not is_tested and not is_owed:
        yield f"{operation_id} is named by no test under tests/"
    if is_tested and is_owed:
        yield f"{operation_id} is tested now: take it off OPERATIONS_NOT_YET_TESTED"


def check_contract(tree):
    if not tree.has(tables.CONTRACT_FILE):
        yield tables.CONTRACT_FILE, 1, "the contract is missing"
        return
    text = tree.text(tables.CONTRACT_FILE)
    try:
        document = json.loads(text)
    except ValueError as fault:
        yield tables.CONTRACT_FILE, getattr(fault, "lineno", 1), f"not JSON: {fault}"
        return
    if document == {}:
        tree.notes.append(f"{tables.CONTRACT_FILE} is still empty: contract not checked")
        return
    tests = tree.select(["tests/*"], tables.SNIPPETS + ["*/package-lock.json"])
    tests_text = "\n".join(tree.text(path) for path in tests)
    for name, operation in operations(document):
        line = line_of(text, operation.get("operationId", ""))
        for fault in faults(document, name, operation, tests_text):
            yield tables.CONTRACT_FILE, line, fault


RULES = {"contract": check_contract}
