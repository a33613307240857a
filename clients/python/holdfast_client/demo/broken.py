"""What goes wrong in a demo before its claims can be checked."""


class StoryBroken(Exception):
    """Something did not happen as it has to. The message is a sentence without its full stop."""
