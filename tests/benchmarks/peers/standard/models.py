from typing import ClassVar

from django.db import models
from typing_extensions import override


class Message(models.Model):
    room = models.CharField(max_length=64, db_index=True)
    content = models.TextField()
    timestamp = models.DateTimeField(auto_now_add=True)

    objects: ClassVar[models.Manager["Message"]] = models.Manager()

    class Meta:
        app_label = "standard"

    @override
    def __str__(self) -> str:
        return self.content
