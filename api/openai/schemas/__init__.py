"""Bodies of the API for OpenAI's clients."""
