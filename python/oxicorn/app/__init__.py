"""What programs that embed gunicorn import from ``gunicorn.app``."""
