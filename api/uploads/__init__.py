"""Upload bodies: multipart forms, raw bytes."""
