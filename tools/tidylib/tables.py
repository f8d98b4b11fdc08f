"""What the house checks hold, as data. An exception is a row with its reason."""

# --- which files ---------------------------------------------------------------------------------

C_FILES = ["*.c", "*.h"]
SNIPPETS = ["tests/tidy/*"]  # bad on purpose: they prove that each check can fail
TIDY_ITSELF = ["tools/tidylib/*", *SNIPPETS]  # has to spell what it looks for
PROSE_AND_CODE = ["*.c", "*.h", "*.sql", "*.py", "*.sh", "*.js", "*.mjs", "*.ts", "*.css", "*.html",
                  "*.md", "*.txt", "*.yml", "Makefile", "tools/*", ".ci/*", "packaging/*"]

# --- layers: each may include itself and what it names --------------------------------------------

LAYERS = {
    "base": [],
    "contract": ["base"],
    "platform": ["base"],
    "domain": ["base", "contract", "platform"],
    "api": ["base", "contract", "platform", "domain"],
    "runner": ["base", "contract", "platform", "domain"],
    "web": ["base", "contract", "platform", "domain", "api", "runner"],
    "main": ["base", "contract", "platform", "domain", "api", "runner", "web"],
}

# --- vendor headers: each library has one owner ---------------------------------------------------

# header prefix, files that may meet it, directly or through a header of ours (a private header of
# the owner's files counts as an owner)
FENCES = [
    ("microhttpd.h", ["src/platform/http_server*.[ch]"]),
    ("curl/", ["src/platform/http_client*.[ch]", "src/platform/http_sender*.[ch]"]),
    ("sqlite3.h", ["src/platform/db_sqlite*.[ch]"]),
    ("libpq-fe.h", ["src/platform/db_postgres*.[ch]"]),
    ("libav", ["src/platform/media_*.[ch]"]),
    ("libsw", ["src/platform/media_*.[ch]"]),
    ("ebur128.h", ["src/platform/media_*.[ch]"]),
    ("openssl/", ["src/platform/crypto*.c", "src/platform/keyring.c"]),
    ("argon2.h", ["src/platform/crypto*.c"]),
    ("seccomp.h", ["src/platform/media_sandbox.c"]),
]
# Parsed JSON is handed around as what it is, but only these say so.
DIRECT_FENCES = [
    ("jansson.h", ["src/base/json_in.h", "src/base/json_out.h", "src/contract/*"]),
]

# --- calls nobody makes ---------------------------------------------------------------------------

BANNED_CALLS = {
    "strcpy": "use str_copy or memcpy with a checked length",
    "strcat": "use a buf",
    "strncpy": "it does not terminate; use str_copy",
    "strncat": "use a buf",
    "stpcpy": "use str_copy or memcpy with a checked length",
    "sprintf": "use snprintf, buf_fmt or str_format",
    "vsprintf": "use vsnprintf, buf_fmt or str_format",
    "gets": "it cannot be used safely",
    "strtok": "it keeps state; use str_cut",
    "atoi": "it cannot report an error; use str_to_int64",
    "atol": "it cannot report an error; use str_to_int64",
    "atoll": "it cannot report an error; use str_to_int64",
    "atof": "it cannot report an error",
    "gmtime": "not thread-safe; use time_format or gmtime_r",
    "localtime": "the house keeps UTC",
    "asctime": "use time_format",
    "ctime": "use time_format",
    "rand": "use world_random",
    "srand": "use world_random",
    "random": "use world_random",
    "system": "no shell; spawn the program itself",
    "popen": "no shell; spawn the program itself",
    "alloca": "the stack has no limit check; use an arena",
    "tmpnam": "a race; use mkstemp",
    "mktemp": "a race; use mkstemp",
}

# --- comparing secrets ----------------------------------------------------------------------------

# Calls that end at the first difference, and so tell by their time how much was right.
QUICK_COMPARISONS = ["memcmp", "bcmp", "strcmp", "strncmp", "strcasecmp", "strncasecmp", "str_eq",
                     "str_eq_ignoring_case"]
# A word of a name that stands for something nobody may guess piece by piece.
SECRET_WORDS = ["secret", "mac", "hmac", "token", "signature", "password", "invite"]
# Files whose business is secrets: nothing at all is compared so.
SECRET_FILES = ["src/platform/crypto.c", "src/platform/keyring.c", "src/domain/secret_text.c",
                "src/domain/page.c", "src/domain/delivered_file.c", "src/domain/worker.c"]

ALLOCATION_CALLS = ["malloc", "calloc", "realloc", "reallocarray", "free", "strdup", "strndup",
                    "asprintf", "vasprintf", "aligned_alloc", "posix_memalign"]
ALLOCATION_FILES = {
    "src/base/arena.c": "the arena itself",
    "src/main/app.c": "what lives as long as the process",
}
# A long-lived object is made and ended in its own functions, and only there; the second pair are
# the callbacks in which a library tells of a connection's begin and end.
ALLOCATION_FUNCTIONS = r"_(?:open|close|start|stop|free|opened|closed)$"
# Memory that a library hands over, or that outlives its function for a stated reason:
# file → functions (with the reason as a comment beside the row).
ALLOCATION_EXCEPTIONS = {
    "src/platform/db_readers.c": ["db_readers_get"],  # opens a thread's connection on first use
}

# --- length ---------------------------------------------------------------------------------------

FUNCTION_LINES_MAX = 80
FUNCTION_LINES_LONG = 60  # --report names these
FILE_LINES_MAX = [("src/*", 500), ("tests/*", 900), ("bench/*", 800)]
FILE_LINES_LONG = 400

# --- pairs ----------------------------------------------------------------------------------------

# A module is a header and the source files named after it: x.h, x.c, x_part.c. A part may have a
# header of its own and is a module then.

# Source files whose contract is in another header, or that have none.
HEADER_ELSEWHERE = {
    "src/main/main.c": "the program's entry",
    "src/api/dispatch.c": "declared with what it calls in api/api.h",
    "src/api/binding.c": "declared with the binding tables in api/api.h",
    "src/main/cmd_*.c": "every command is declared in main/commands.h",
}

TESTED_LAYERS = ["base", "contract", "platform", "domain"]
# Source files whose rules are held by another test than tests/unit/<layer>/test_<file>.c,
# test_<file>_<part>.c or, for a part without a header of its own, its module's.
TEST_ELSEWHERE = {
    "src/base/macros.c": "CHECK is met by every test that proves an abort",
    "src/contract/compile*.c": "private steps of contract_compile: test_contract_compile.c",
    "src/domain/slot_rules.c": "every refusal is met by accepting: test_reservation.c",
    "src/domain/score_part.c": "ramps and weights, held through score_compute: test_score.c",
    "src/domain/score_words.c": "the words of a score: test_score.c",
    "src/platform/http_sender_transfer.c": "a request's way, from the outside: test_http_sender.c",
    "src/platform/media_sandbox.c": "attacked from inside: tests/sandbox",
    "src/platform/media_versions.c": "part of every score's record: test_score.c",
    **dict.fromkeys(
        ["src/platform/media_%s.c" % part for part in
         ("figure", "io", "loudness", "luma", "movie", "record", "spectrum", "still", "track",
          "video", "wrapper")],
        "a step of media_examine: test_media_examine.c and test_media_damage.c, on real files"),
}
# Debt: source files without a test. This list only shrinks: a row that is tested must go.
FILES_NOT_YET_TESTED = [
]

# --- SQL ------------------------------------------------------------------------------------------

SQL_CALLS = {"db_query": 1}  # function → which argument is the statement
SQL_COMPUTED = {
    "src/platform/db.c": "takes its transaction statements from the driver's constant table",
}
SCRIPT_CALL = "db_script"
SCRIPT_FILES = ["src/platform/db*.c", "src/platform/db.h"]

# A table is a tenant's when its definition in sql/ has this column.
TENANT_COLUMN = "org_id"
TENANT_EXEMPT_FILES = {
    "src/domain/audit.c": "audits every tenant",
}

# --- the contract ---------------------------------------------------------------------------------

CONTRACT_FILE = "api/openapi.json"
API_KEY_SCHEME = "BearerAuth"
# Operations that any valid API key may call.
NO_SCOPE = {
    "getSettings": "any valid key may read its organisation's settings",
    "getOrganizationSettings": "any valid key may read its organisation's settings",
}
# Debt: operations that no test names. This list only shrinks: a row that is tested must go.
OPERATIONS_NOT_YET_TESTED = [
]

# --- what a clone must not carry ------------------------------------------------------------------

# A path of this project as pages name it; a name with a hole, such as fuzz_<parser>.c, is none.
DOC_PATH = r"(?<![\w/.-])(?:api|bench|docs|sandbox|sql|src|tests|tools|web)/(?!NNNN)[\w./*-]*[\w*](?![<\w])"
DOC_PATH_FOLDERS = ["", "src/", "tests/"]
DOC_PATH_ENDS = ["", ".c", ".h", ".mjs", ".test.mjs"]

FILE_BYTES_MAX = 1 << 20
# Put together here, so that this file does not name them either.
PUBLIC_HOSTS = [".".join(parts) for parts in [
    ("deb", "debian", "org"), ("security", "debian", "org"), ("archive", "ubuntu", "com"),
    ("security", "ubuntu", "com"), ("registry", "npmjs", "org")]]
MACHINE_PATHS = r"(?<![\w.])/(?:%s)/\w" % "|".join(["home", "Users", "root", "work"])
# The project speaks of itself alone.
PROVENANCE = (r"\b(?:ai[- ](?:generated|written|assisted)|llm[- ]generated|coding (?:agent|assistant)"
              r"|sub-?agents?|as an ai|(?:written|generated|made) (?:by|with) (?:an? )?"
              r"(?:ai|llm|agent|assistant|claude|gpt|chatgpt|copilot)|co-authored-by)\b")
