"""Defines the schemas of the push API, without Django."""

from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from accounts.kernel.fields import Answer, Body, Seq, Text, Timestamp, example

ENDPOINT_EXAMPLE = "https://push.example.com/send/dGhpcyBpcyBub3QgcmVhbA"
KEYS_EXAMPLE = {
    "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcx"
    "aOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
    "auth": "BTBZMqHH6r4Tts7J_aSIgg",
}
SUBSCRIPTION_EXAMPLE = {
    "id": 1,
    "endpoint": ENDPOINT_EXAMPLE,
    "created_at": "2026-01-31T18:20:05.123Z",
}
Key = Annotated[Text, StringConstraints(min_length=1, max_length=128)]


class FromBrowser(Body):
    """What a browser makes. Members that a later one adds are no error."""

    model_config = ConfigDict(extra="ignore")


class SubscriptionKeysIn(FromBrowser):
    model_config = example(KEYS_EXAMPLE)
    p256dh: Annotated[Key, Field(description="The browser's public key, in base64url")]
    auth: Annotated[Key, Field(description="The browser's secret, in base64url")]


class SubscriptionIn(FromBrowser):
    """The JSON of `PushSubscription.toJSON()`."""

    model_config = example(
        {"endpoint": ENDPOINT_EXAMPLE, "expirationTime": None, "keys": KEYS_EXAMPLE}
    )
    endpoint: Annotated[Text, StringConstraints(min_length=1, max_length=2048)]
    expirationTime: Seq | None = None  # noqa: N815 - the browser's name, in milliseconds
    keys: SubscriptionKeysIn


class SubscriptionOut(Answer):
    model_config = example(SUBSCRIPTION_EXAMPLE)
    id: int
    endpoint: str
    created_at: Timestamp


class PushKeyOut(Answer):
    model_config = example({"public_key": KEYS_EXAMPLE["p256dh"]})
    public_key: str
