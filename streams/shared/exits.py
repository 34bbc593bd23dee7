"""Why a worker ends: the exit code tells a supervisor what to do, the last line a person."""

from typing import Final

EXIT_FLOOD: Final = 65
EXIT_INVARIANT: Final = 70
EXIT_IO: Final = 74
EXIT_STALLED: Final = 75


class StoppedError(Exception):
    """The worker has to end: the exit code, and the last line that it says."""

    def __init__(self, exit_code: int, line: str) -> None:
        """Keep both."""
        super().__init__(line)
        self.exit_code = exit_code
