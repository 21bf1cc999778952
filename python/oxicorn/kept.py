"""Values of a config file that are more than the text that settings travel as: dictionaries with objects in them, classes."""

import json

# By their text. Of the last readings only: a reload that fails goes back by one.
_values = {}
_MOST = 4


def keep(value):
    """Return the text of a dictionary, by which `value` finds the dictionary again."""
    text = json.dumps(value, default=repr)
    _values.pop(text, None)
    _values[text] = value
    while len(_values) > _MOST:
        del _values[next(iter(_values))]
    return text


def value(text):
    """Return the dictionary that was kept as this text; one that came as text is made of it."""
    return _values[text] if text in _values else json.loads(text)


_classes = {}


def keep_class(kind):
    """Return the text of a class, by which `found` finds it again: no import may lead there."""
    text = f"{kind.__module__}.{kind.__qualname__}"
    _classes[text] = kind
    return text


def found(text):
    """Return the class that was kept as this text, if one was."""
    return _classes.get(text)
