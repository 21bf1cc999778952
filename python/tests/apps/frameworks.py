"""The same small application in five frameworks: text, JSON, a form, an upload, a redirect, cookies, a stream, an error."""

import hashlib
import json

PIECES = ["piece %d\n" % number for number in range(50)]


# The responses of the views, the same in each framework.


def digest(content):
    return hashlib.sha256(content).hexdigest()


def got(value, agent):
    return {"got": value, "agent": agent}


def error(*arguments):
    raise ValueError("raised in a view")


def ready():
    return "ready"


def flask():
    import flask

    app = flask.Flask("frameworks")

    @app.get("/hello/<name>")
    def hello(name):
        response = flask.make_response("hello %s" % name)
        response.set_cookie("seen", "yes")
        return response

    @app.post("/json")
    def echo():
        return got(flask.request.get_json(), flask.request.headers.get("User-Agent"))

    @app.post("/form")
    def form():
        return flask.jsonify(sorted(flask.request.form.items(multi=True)))

    @app.post("/upload")
    def upload():
        return digest(flask.request.files["file"].read())

    @app.post("/raw")
    def raw():
        return digest(flask.request.get_data())

    @app.get("/stream")
    def stream():
        return flask.Response(iter(PIECES), mimetype="text/plain")

    @app.get("/redirect")
    def redirect():
        return flask.redirect("/hello/again")

    @app.get("/where")
    def where():
        return flask.request.url

    app.get("/error")(error)
    app.get("/ready")(ready)
    return app


def bottle():
    import bottle

    app = bottle.Bottle()

    @app.get("/hello/<name>")
    def hello(name):
        bottle.response.set_cookie("seen", "yes")
        return "hello %s" % name

    @app.post("/json")
    def echo():
        return got(bottle.request.json, bottle.request.get_header("User-Agent"))

    @app.post("/form")
    def form():
        bottle.response.content_type = "application/json"
        return json.dumps(sorted(bottle.request.forms.allitems()))

    @app.post("/upload")
    def upload():
        return digest(bottle.request.files["file"].file.read())

    @app.post("/raw")
    def raw():
        return digest(bottle.request.body.read())

    @app.get("/stream")
    def stream():
        bottle.response.content_type = "text/plain"
        yield from PIECES

    @app.get("/redirect")
    def redirect():
        bottle.redirect("/hello/again")

    @app.get("/where")
    def where():
        return bottle.request.url

    app.get("/error")(error)
    app.get("/ready")(ready)
    return app


def falcon():
    import falcon

    class Hello:
        def on_get(self, request, response, name):
            response.text = "hello %s" % name
            response.content_type = "text/plain"
            response.set_cookie("seen", "yes")

    class Json:
        def on_post(self, request, response):
            response.media = got(request.media, request.user_agent)

    class Form:
        def on_post(self, request, response):
            response.media = sorted([key, value] for key, value in request.get_media().items())

    class Upload:
        def on_post(self, request, response):
            for part in request.get_media():
                response.text = digest(part.stream.read())

    class Raw:
        def on_post(self, request, response):
            response.text = digest(request.bounded_stream.read())

    class Stream:
        def on_get(self, request, response):
            response.content_type = "text/plain"
            response.stream = (piece.encode() for piece in PIECES)

    class Redirect:
        def on_get(self, request, response):
            raise falcon.HTTPFound("/hello/again")

    class Where:
        def on_get(self, request, response):
            response.text = request.url

    class Error:
        on_get = staticmethod(error)

    class Ready:
        def on_get(self, request, response):
            response.text = ready()

    app = falcon.App()
    for path, resource in {
        "/hello/{name}": Hello(), "/json": Json(), "/form": Form(), "/upload": Upload(), "/raw": Raw(), "/stream": Stream(),
        "/redirect": Redirect(), "/where": Where(), "/error": Error(), "/ready": Ready(),
    }.items():
        app.add_route(path, resource)
    return app


def pyramid():
    from pyramid.config import Configurator
    from pyramid.httpexceptions import HTTPFound
    from pyramid.response import Response

    def hello(request):
        response = Response("hello %s" % request.matchdict["name"])
        response.set_cookie("seen", "yes")
        return response

    views = {
        ("hello", "/hello/{name}"): hello,
        ("json", "/json"): lambda request: Response(json_body=got(request.json_body, request.user_agent)),
        ("form", "/form"): lambda request: Response(json_body=sorted(request.POST.items())),
        ("upload", "/upload"): lambda request: Response(digest(request.POST["file"].file.read())),
        ("raw", "/raw"): lambda request: Response(digest(request.body)),
        ("stream", "/stream"): lambda request: Response(
            app_iter=(piece.encode() for piece in PIECES), content_type="text/plain"
        ),
        ("redirect", "/redirect"): lambda request: HTTPFound("/hello/again"),
        ("where", "/where"): lambda request: Response(request.url),
        ("error", "/error"): error,
        ("ready", "/ready"): lambda request: Response(ready()),
    }
    with Configurator() as config:
        for (name, path), view in views.items():
            config.add_route(name, path)
            config.add_view(view, route_name=name)
        return config.make_wsgi_app()


def django():
    import django
    from django.conf import settings
    from django.core.handlers.wsgi import WSGIHandler
    from django.http import HttpResponse, HttpResponseRedirect, JsonResponse, StreamingHttpResponse
    from django.urls import path

    def hello(request, name):
        response = HttpResponse("hello %s" % name)
        response.set_cookie("seen", "yes")
        return response

    def form(request):
        pairs = [(key, value) for key, values in request.POST.lists() for value in values]
        return JsonResponse(sorted(pairs), safe=False)

    def echo(request):
        return JsonResponse(got(json.loads(request.body), request.headers.get("User-Agent")))

    settings.configure(
        DEBUG=False, ALLOWED_HOSTS=["*"], ROOT_URLCONF="django_urls", SECRET_KEY="of a test", MIDDLEWARE=[],
        LOGGING_CONFIG=None, FILE_UPLOAD_MAX_MEMORY_SIZE=100000,
    )
    django.setup()
    import sys
    import types

    urls = types.ModuleType("django_urls")
    urls.urlpatterns = [
        path("hello/<name>", hello),
        path("json", echo),
        path("form", form),
        path("upload", lambda request: HttpResponse(digest(request.FILES["file"].read()))),
        path("raw", lambda request: HttpResponse(digest(request.body))),
        path("stream", lambda request: StreamingHttpResponse(iter(PIECES), content_type="text/plain")),
        path("redirect", lambda request: HttpResponseRedirect("/hello/again")),
        path("where", lambda request: HttpResponse(request.build_absolute_uri())),
        path("error", error),
        path("ready", lambda request: HttpResponse(ready())),
    ]
    sys.modules["django_urls"] = urls
    return WSGIHandler()
