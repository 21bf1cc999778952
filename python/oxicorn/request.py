"""A request and its response, as hooks and logger classes see them."""

import urllib.parse


class Request:
    """A request, as ``pre_request`` and ``post_request`` see it."""

    def __init__(self, method, uri, path, query, version, headers, remote_addr, scheme):
        self.method = method
        self.uri = uri
        self.path = path
        self.query = query
        self.fragment = ""
        self.version = version
        # Pairs, with the names in capitals.
        self.headers = headers
        self.remote_addr = self.peer_addr = remote_addr
        self.scheme = scheme
        self._arrived = {**vars(self), "headers": list(headers)}

    def amend(self, environ):
        """Apply the changes of ``pre_request`` to the environ, which gunicorn makes after that hook."""
        for name, key in IN_ENVIRON.items():
            value = getattr(self, name)
            if value != self._arrived[name]:
                environ[key] = value
        if self.path != self._arrived["path"]:
            # PEP 3333: octets as Latin-1.
            path = self.path.removeprefix(environ["SCRIPT_NAME"])
            environ["PATH_INFO"] = urllib.parse.unquote_to_bytes(path.encode("latin-1")).decode("latin-1")
        if self.headers != self._arrived["headers"]:
            before, now = _variables(self._arrived["headers"]), _variables(self.headers)
            for key in before.keys() - now.keys():
                environ.pop(key, None)
            environ.update((key, value) for key, value in now.items() if before.get(key) != value)


# Attributes that a hook may change, with their keys in the environ.
IN_ENVIRON = {"method": "REQUEST_METHOD", "uri": "RAW_URI", "query": "QUERY_STRING", "scheme": "wsgi.url_scheme"}


def _variables(headers):
    """The environ variables of these fields."""
    found = {}
    for name, value in headers:
        name = name.upper().replace("-", "_")
        key = name if name in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{name}"
        found[key] = f"{found[key]},{value}" if key in found else value
    return found


class Response:
    """A response, as ``post_request`` sees it."""

    def __init__(self, status, status_code, headers, response_length):
        self.status = status
        self.status_code = status_code
        self.headers = headers
        self.response_length = response_length
        self.headers_sent = True
        # Octets of the body.
        self.sent = 0
