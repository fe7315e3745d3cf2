"""The API for programs that were written for OpenAI's: the same functions under other names, ids and errors.

It is separate from the native API, below its own path, because some paths have other meanings in each.
"""

BELOW = "/openai/"  # every answer below it has OpenAI's form, an unknown path included
PREFIX = f"{BELOW}v1"
TAG = "openai"
# Headers that clients in a browser send and read in addition to those of the native API.
SENT = (
    *("OpenAI-Organization", "OpenAI-Project", "OpenAI-Beta"),
    *(f"X-Stainless-{name}" for name in ("Arch", "Helper-Method", "Lang", "OS", "Package-Version", "Retry-Count")),
    *(f"X-Stainless-{name}" for name in ("Poll-Helper", "Runtime", "Runtime-Version", "Timeout")),
)
READ = ("openai-poll-after-ms", "x-should-retry")
