"""Serves static files, and answers 404 for a missing one."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from servestatic.middleware import ServeStaticMiddleware
from servestatic.responders import MissingFileError


class StaticFilesMiddleware(ServeStaticMiddleware):  # type: ignore[misc]
    """With DEBUG on, servestatic raises for a missing file, which would be a 500."""

    async def __call__(self, request: HttpRequest) -> HttpResponseBase:
        try:
            response: HttpResponseBase = await super().__call__(request)
        except MissingFileError:
            response = await self.get_response(request)
        return response
