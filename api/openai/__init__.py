"""The API for programs that were written for OpenAI's: the same functions under other names, ids and errors.

It stands beside the native one, below a path of its own, because some paths mean other things in each.
"""

BELOW = "/openai/"  # every answer below it has OpenAI's form, an unknown path included
PREFIX = f"{BELOW}v1"
TAG = "openai"
