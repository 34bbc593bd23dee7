"""Ctrl-C from the first moment that Python leaves to us to the last: one word and exit code 130, whatever goes on.

An interrupt is an exception where a command works, so that it puts away what it has begun.  That does not do where
modules are imported, since an exception out of their middle is lost or comes out as another one, and Python itself then
forgets that anybody has caught it; nothing has begun there, so the process ends at once.  Nor does it do in a
destructor, which swallows it; there it is sent again.
"""

import os
import signal
import sys
from types import FrameType
from typing import Final, NoReturn

INTERRUPTED: Final = 130
WORD: Final = "interrupted"
AGAIN_S: Final = 0.02
_IMPORTING: Final = "<frozen importlib"


def watch() -> None:
    """Answer interrupts from now on, unless whoever started this process has said what they mean to it."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _on_interrupt)
        sys.unraisablehook = _on_unraisable


def leave() -> NoReturn:
    """End with the exit code of an interrupted command; nothing of Python's own end can be interrupted any more."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue  # Whoever read it has gone.
    os._exit(INTERRUPTED)


def _on_interrupt(_: int, frame: FrameType | None) -> None:
    while frame is not None:
        if frame.f_code.co_filename.startswith(_IMPORTING):
            os.write(sys.__stderr__.fileno() if sys.__stderr__ is not None else 2, f"\n{WORD}\n".encode())
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt


def _on_unraisable(unraisable: "sys.UnraisableHookArgs") -> None:
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        from threading import Timer

        again = Timer(AGAIN_S, os.kill, (os.getpid(), signal.SIGINT))
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(unraisable)
