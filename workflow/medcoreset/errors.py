"""The one exception that a user's mistake raises."""


class UserError(Exception):
    """A mistake of the user's: one line that names the key, file or value, and what is allowed.

    The command line prints it without a traceback and exits with status 2.
    """
