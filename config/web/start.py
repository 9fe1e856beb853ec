"""Serves the start page, and creates the users of its button."""

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import get_token
from django.templatetags.static import static
from django.views.decorators.http import require_POST, require_safe

from accounts.auth import request_address
from accounts.kernel.errors import DomainError
from accounts.kernel.json_answers import encode_json
from config import VERSION
from config.error_answers import JSON, database_away, refused

from .demo import demo_chat
from .pages import page


@require_safe
async def start(request: HttpRequest) -> HttpResponse:
    """Shows what is installed, without the database.

    The page reads the state from `/readyz`.
    """
    context = {
        "version": VERSION,
        "database": connection.display_name,
        "redis_servers": len(settings.REDIS_URLS),
        "debug": settings.DEBUG,
        "csrf_token": get_token(request) if settings.DEBUG else "",
    }
    return page("web/start.html", context)


@require_safe
async def favicon(_: HttpRequest) -> HttpResponse:
    """Redirects to the icon.

    Browsers look here for pages that name none, such as the admin.
    """
    return HttpResponseRedirect(static("web/icon.svg"))


@require_POST
def create_demo(request: HttpRequest) -> HttpResponse:
    """Answers with two new users and their group, as the playground stores them.

    Only with DEBUG. The tokens are in the body alone: an address would be in logs and in the
    history of the browser.
    """
    try:
        chat = demo_chat(request_address(request), request.headers.get("User-Agent", ""))
    except DomainError as error:
        return refused(request, error)
    except (DatabaseError, InterfaceError) as error:
        return database_away(request, error)
    response = HttpResponse(encode_json(chat), status=201, content_type=JSON)
    response["Cache-Control"] = "no-store"
    return response
