"""Serves the playground of the sockets."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

from .pages import page


@csrf_exempt  # so that other methods answer 405, as everywhere under /api
@require_safe
async def playground(request: HttpRequest) -> HttpResponse:
    """Answers with the page.

    Its modules sign in by REST, so it holds nothing of a user.
    """
    return page("web/playground.html", {"current": "playground"})
