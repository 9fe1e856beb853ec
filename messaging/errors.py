"""Refusals about messages."""

from accounts.kernel.errors import DomainError


class NoSuchMessage(DomainError):
    code = "no_such_message"
    detail = "This room has no such message"


class MessageDeleted(DomainError):
    code = "message_deleted"
    detail = "This message was deleted"


class SenderMismatch(DomainError):
    code = "sender_mismatch"
    detail = "A message is sent by whose token it carries: `username` must be yours"


class ReceiverMismatch(DomainError):
    code = "receiver_mismatch"
    detail = "On a private socket the receiver is the other user"


class ClientIdReused(DomainError):
    code = "client_id_reused"
    detail = "You have sent something else with this client_id"


class TooManyReactions(DomainError):
    code = "too_many_reactions"
    detail = "This message has as many different reactions as it can hold"
