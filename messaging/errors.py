"""Defines errors about messages."""

from accounts.kernel.errors import DomainError


class NoSuchMessage(DomainError):
    code = "no_such_message"
    detail = "Message not found"


class MessageDeleted(DomainError):
    code = "message_deleted"
    detail = "This message was deleted"


class SenderMismatch(DomainError):
    code = "sender_mismatch"
    detail = "You can only send as yourself: `username` must be yours"


class ReceiverMismatch(DomainError):
    code = "receiver_mismatch"
    detail = "On a private socket `receiver` must be the other user"


class ClientIdReused(DomainError):
    code = "client_id_reused"
    detail = "This client_id was already used for a different message"


class TooManyPins(DomainError):
    code = "too_many_pins"
    detail = "A room has at most 100 pinned messages"


class TooManyReactions(DomainError):
    code = "too_many_reactions"
    detail = "Too many different reactions on this message"
