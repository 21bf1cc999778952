"""Keeps values of a config file that text cannot represent: dictionaries with objects, and classes."""

import json

# By their text. Only from the last readings: a failed reload goes back to the one before.
_values = {}
_MOST = 4


def keep(value):
    """Keep a dictionary, and return the text for which `value` returns it."""
    text = json.dumps(value, default=repr)
    _values.pop(text, None)
    _values[text] = value
    while len(_values) > _MOST:
        del _values[next(iter(_values))]
    return text


def value(text):
    """Return the dictionary kept under this text, or else parse the text."""
    return _values[text] if text in _values else json.loads(text)


_classes = {}


def keep_class(kind):
    """Keep a class, which may not be importable, and return the text for which `found` returns it."""
    text = f"{kind.__module__}.{kind.__qualname__}"
    _classes[text] = kind
    return text


def found(text):
    """Return the class kept under this text, or ``None``."""
    return _classes.get(text)
