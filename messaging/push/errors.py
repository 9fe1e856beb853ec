"""Defines errors about push subscriptions."""

from accounts.kernel.errors import DomainError


class PushOff(DomainError):
    code = "push_off"
    detail = "This server sends no pushes"


class NoSuchSubscription(DomainError):
    code = "no_such_subscription"
    detail = "Push subscription not found"


class EndpointInUse(DomainError):
    code = "endpoint_in_use"
    detail = "Another user is subscribed with this endpoint and other keys"


class TooManySubscriptions(DomainError):
    code = "too_many_subscriptions"
    detail = "You have too many push subscriptions: delete one first"
