import os
from typing import Any

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.benchmarks.peers.standard.settings")
django_application = get_asgi_application()

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.urls import re_path  # noqa: E402

from .consumers import ChatConsumer, StoringConsumer  # noqa: E402

# The stubs of Channels and Django disagree about the type of a view.
consumers: dict[str, Any] = {
    r"^chat/(?P<room_name>[\w-]+)/$": ChatConsumer.as_asgi(),
    r"^stored/(?P<room_name>[\w-]+)/$": StoringConsumer.as_asgi(),
}
patterns: Any = [re_path(path, consumer) for path, consumer in consumers.items()]
application = ProtocolTypeRouter({"http": django_application, "websocket": URLRouter(patterns)})
