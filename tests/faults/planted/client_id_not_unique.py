"""Bug: `client_id` is not checked, and no constraint refuses a repeat."""

from collections.abc import Collection

from django.db import connection

from config.asgi import application
from messaging.writer import batch
from messaging.writer.sql import Rows

from .plant import on_database, plant

__all__ = ["application"]


def used_client_ids(keys: Collection[tuple[int, int, str]]) -> Rows:
    return list


def drop_constraint() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DROP INDEX IF EXISTS message_client_id_once")
    connection.close()


plant(batch, "used_client_ids", used_client_ids)
on_database(drop_constraint)
