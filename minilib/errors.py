"""The one error a user is meant to read: what is wrong, where, and how to mend it, in one line."""


class BadInput(ValueError):
    """Something the user gave cannot be used. The message names it."""
