"""Defines errors about attachments."""

from accounts.kernel.errors import DomainError


class NoSuchAttachment(DomainError):
    code = "no_such_attachment"
    detail = "Attachment not found"


class AttachmentInUse(DomainError):
    code = "attachment_in_use"
    detail = "This file is attached to a message: delete the message instead"


class TooLarge(DomainError):
    code = "too_large"
    detail = "This file is too large"


class UnsupportedType(DomainError):
    code = "unsupported_type"
    detail = "Files of this type are not accepted"


class QuotaExceeded(DomainError):
    code = "quota_exceeded"
    detail = "Your files need more space than you have: delete some messages with files"


class RangeNotSatisfiable(DomainError):
    code = "range_not_satisfiable"
    detail = "The file ends before this range"
