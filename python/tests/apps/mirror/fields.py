"""The fields of most answers."""

TEXT = [("Content-Type", "text/plain")]


def exact(text):
    return TEXT + [("Content-Length", str(len(text)))]
