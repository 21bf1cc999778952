"""The fields of most responses."""

TEXT = [("Content-Type", "text/plain")]


def exact(text):
    return TEXT + [("Content-Length", str(len(text)))]
