"""What a reporter of errors shows."""

import traceback


def shown_by(error: BaseException, package: str) -> list[str]:
    """Return what a reporter of errors shows of the frames of a package: all local variables."""
    shown = []
    while error:
        for frame, _ in traceback.walk_tb(error.__traceback__):
            if frame.f_globals["__name__"].startswith(f"{package}."):
                shown += [f"{name} = {value!r}" for name, value in frame.f_locals.items()]
        error = error.__cause__ or error.__context__
    return shown
