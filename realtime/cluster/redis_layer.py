"""Extends the layer of channels_redis: many groups in one round trip."""

from collections.abc import Mapping
from typing import Any

from channels_redis.pubsub import (
    RedisPubSubChannelLayer,
    RedisPubSubLoopLayer,
    RedisSingleShardConnection,
)

from realtime.servers.required import RequiredNames, missing_names

REQUIRED = (
    RequiredNames(RedisPubSubChannelLayer, ("_get_layer",)),
    RequiredNames(RedisPubSubLoopLayer, ("_get_group_channel_name", "_shards")),
    RequiredNames(RedisSingleShardConnection, ("_ensure_redis", "_lock", "_redis")),
)
"""Private names of channels_redis that this file uses."""
CAN_PIPELINE = not missing_names(REQUIRED)


class RedisLayer(RedisPubSubChannelLayer):  # type: ignore[misc]  # it is not typed
    """The channel layer of one Redis host (see `Broker`)."""

    async def groups_send(self, messages: Mapping[str, Any]) -> None:
        """Calls `group_send` for each group, in one round trip.

        One batch of the writer publishes to many rooms, and waiting for a reply per room costs more
        than sending. A version of channels_redis that lacks the private names needs one round trip
        per group.
        """
        if not CAN_PIPELINE:
            for group, message in messages.items():
                await self.group_send(group, message)
            return
        layer: Any = self._get_layer()
        (shard,) = layer._shards
        async with shard._lock:
            shard._ensure_redis()
            pipeline = shard._redis.pipeline(transaction=False)
            for group, message in messages.items():
                pipeline.publish(layer._get_group_channel_name(group), self.serialize(message))
            await pipeline.execute()
