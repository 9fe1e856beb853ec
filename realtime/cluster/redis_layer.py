"""The channel layer of hints: that of channels_redis, which also takes many groups at once."""

from collections.abc import Mapping
from typing import Any

from channels_redis.pubsub import (
    RedisPubSubChannelLayer,
    RedisPubSubLoopLayer,
    RedisSingleShardConnection,
)

from realtime.servers.required import Inside, missing_names

REQUIRED = (
    Inside(RedisPubSubChannelLayer, ("_get_layer",)),
    Inside(RedisPubSubLoopLayer, ("_get_group_channel_name", "_shards")),
    Inside(RedisSingleShardConnection, ("_ensure_redis", "_lock", "_redis")),
)
"""What is used of the inside of channels_redis."""
CAN_PIPELINE = not missing_names(REQUIRED)


class RedisLayer(RedisPubSubChannelLayer):  # type: ignore[misc]  # it is not typed
    """For one host: each Redis has a layer of its own (`shards`)."""

    async def groups_send(self, messages: Mapping[str, Any]) -> None:
        """`group_send` for each group, in one round trip.

        What one batch of the writer publishes to many rooms would otherwise wait for as many
        answers, each dearer than what is sent. That is also what happens on a channels_redis that
        we do not know.
        """
        if not CAN_PIPELINE:
            for group, message in messages.items():
                await self.group_send(group, message)
            return
        layer: Any = self._get_layer()
        (host,) = layer._shards
        async with host._lock:
            host._ensure_redis()
            pipeline = host._redis.pipeline(transaction=False)
            for group, message in messages.items():
                pipeline.publish(layer._get_group_channel_name(group), self.serialize(message))
            await pipeline.execute()
