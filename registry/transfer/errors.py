"""What can go wrong while images are moved. Every message is shown to people."""


class TransferError(Exception):
    """The root: this image can't be moved, others may be."""


class Damaged(TransferError):
    """What a source holds is not what it says it is."""


class Missing(TransferError):
    """A source does not hold what it was asked for."""


class Refused(TransferError):
    """A registry answered with an error; `status` tells which."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Interrupted(TransferError):
    """A registry did not answer, or asked to be left alone for a while: the same request may work later.

    `after` is how many seconds it wants to be left alone, None if it does not say.
    """

    def __init__(self, message: str, after: float | None = None) -> None:
        super().__init__(message)
        self.after = after
