"""apps/mirror under wsgiref.validate, which asserts every rule of PEP 3333 on both sides."""

from wsgiref.validate import validator

import mirror

application = validator(mirror.application)
