"""Application specifications: ``module``, ``module:name``, ``module:factory("literal", key=1)``."""

import ast
import importlib
import inspect
import os
import sys


class AppError(Exception):
    """The application does not exist. It is not an error in its code."""


def load(spec):
    """Return the WSGI callable that ``spec`` names."""
    module_name, colon, expression = spec.partition(":")
    found = _module(module_name, expression)
    path, call = _parse(expression if colon else "application", spec)
    for name in path:
        try:
            found = getattr(found, name)
        except AttributeError:
            raise AppError(f"{spec}: there is no {'.'.join(path)!r} in {module_name}") from None
    if call is not None:
        found = _make(found, call, spec)
    if found is None:
        raise AppError(f"{spec} is None")
    if not callable(found):
        raise AppError(f"{spec} is not callable, but of {type(found)}")
    _check_interface(found, spec, called=call is not None)
    return found


def _check_interface(found, spec, called):
    """Reject common mistakes, such as ASGI applications and factories. Anything unclear passes."""
    is_class = inspect.isclass(found)
    is_coroutine = inspect.iscoroutinefunction
    if is_coroutine(found) or (not is_class and is_coroutine(getattr(type(found), "__call__", None))):  # noqa: B004
        raise AppError(
            f"{spec} is an ASGI application, and there are WSGI applications only: serve it with uvicorn, or wrap it "
            "(a2wsgi.ASGIMiddleware)"
        )
    # The signature of an object's __call__ means nothing: decorators and proxies accept anything.
    if not (inspect.isfunction(found) or is_class):
        return
    try:
        signature = inspect.signature(found, follow_wrapped=False)
    except (TypeError, ValueError):
        return
    variable = any(it.kind is inspect.Parameter.VAR_POSITIONAL for it in signature.parameters.values())
    makes_one = not variable and "environ" not in signature.parameters and _takes(signature, 0)
    if _takes(signature, 2) and not makes_one:
        return
    if not called and makes_one:
        raise AppError(
            f"{spec} takes no request, so it seems to make the application instead of being one: write '{spec}()'"
        )
    if _takes(signature, 3) or (is_class and _takes(signature, 1)):
        raise AppError(
            f"{spec} has not the two arguments of a WSGI application, environ and start_response; an ASGI application "
            "is served with uvicorn"
        )


def _takes(signature, count):
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def load_paste(place, variables):
    """Return the application of a PasteDeploy file, which may be followed by ``#`` and a name."""
    try:
        from paste.deploy import loadapp
    except ImportError:
        raise AppError("paste takes PasteDeploy: pip install PasteDeploy") from None
    return loadapp(f"config:{place}", relative_to=os.getcwd(), global_conf=variables)


def _module(name, expression):
    if not name:
        raise AppError("an application is named module:callable; the module is missing")
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if name.endswith(".py") and os.path.exists(name):
            better = name[:-3].replace("/", ".") + ":" + (expression or "application")
            raise ImportError(f"{name} is a file; the application is named {better}") from error
        missing = getattr(error, "name", None)
        if isinstance(error, ModuleNotFoundError) and missing and f"{name}.".startswith(f"{missing}."):
            searched = ", ".join(place or "." for place in sys.path)
            raise ModuleNotFoundError(
                f"{error.msg}\nThe working directory is {os.getcwd()}, Python looks in {searched}: "
                "name another directory with --chdir or --pythonpath",
                name=missing,
            ) from None
        raise


def _parse(expression, spec):
    """The attribute path, and the call if there is one."""
    try:
        node = ast.parse(expression, mode="eval").body
    except SyntaxError:
        raise AppError(f"{spec}: {expression!r} is neither a name nor a call") from None
    call = node if isinstance(node, ast.Call) else None
    node = call.func if call else node
    path = []
    while isinstance(node, ast.Attribute):
        path.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise AppError(f"{spec}: {expression!r} is neither a name nor a call of one")
    return [node.id, *path], call


def _make(factory, call, spec):
    try:
        arguments = [ast.literal_eval(argument) for argument in call.args]
        keywords = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    except ValueError:
        raise AppError(f"{spec}: only literals can be arguments") from None
    if None in keywords:
        raise AppError(f"{spec}: only literals can be arguments")
    try:
        return factory(*arguments, **keywords)
    except TypeError as error:
        # Without a frame of the factory, the call itself was wrong.
        if error.__traceback__.tb_next is None:
            raise AppError(f"{spec}: {error}") from None
        raise
