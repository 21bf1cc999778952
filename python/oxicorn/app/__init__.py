"""The counterpart of ``gunicorn.app``, for programs that embed the server."""
