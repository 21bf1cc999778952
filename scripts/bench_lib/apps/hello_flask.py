"""The smallest application in Flask."""

from flask import Flask

application = Flask("hello")


@application.get("/")
def hello():
    return b"Hello, World!", 200, {"Content-Type": "text/plain"}
