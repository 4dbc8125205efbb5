"""Who may ask a server what, and what a browser may do with its answers."""

import hmac

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wlasl_tfrecord.serving.options import ServeOptions, is_loopback

__all__ = ["Guard"]

# Nothing but this page's own files; the frames come as data, the recording as a blob.
_CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
    )
)
_HEADERS = {
    "content-security-policy": _CONTENT_SECURITY_POLICY,
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}

# What needs the token; the page must be there to ask for it.
_SECRET_PATHS = {"/predict", "/model"}


class Guard:
    """Refuses requests that no user of this server meant, and marks every answer.

    A page of any other site can send requests to 127.0.0.1 from its reader's browser.
    It is known by its `Origin`; and one that had its own name point to 127.0.0.1, so
    that it could read the answers, by its `Host`.

    Args:
        app: What answers the other requests.
        options: The host and the token.
    """

    def __init__(self, app: ASGIApp, options: ServeOptions) -> None:
        self._app = app
        self._options = options

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        # Not `request.url`, to which some releases of Starlette add the `Host` header:
        # `Host: x/y` would hide from it what is asked for.
        needs_token = scope["path"] in _SECRET_PATHS
        refusal = self._refusal(Request(scope), needs_token)
        await (refusal or self._app)(scope, receive, send_marked)

    def _refusal(self, request: Request, needs_token: bool) -> JSONResponse | None:
        """Returns the answer to a request that is refused; None if it may pass."""
        headers = request.headers
        if self._options.token is None and not self._is_ours(headers):
            return _refused(
                421, f"this server is not {headers.get('host', '')!r}; use 127.0.0.1"
            )
        origin = headers.get("origin")
        if origin is not None and origin.partition("://")[2] != headers.get("host"):
            return _refused(403, f"pages of {origin!r} may not use this server")
        if needs_token and not self._has_token(headers):
            response = _refused(401, "send the token: Authorization: Bearer …")
            response.headers["www-authenticate"] = "Bearer"
            return response
        return None

    def _is_ours(self, headers: Headers) -> bool:
        """Returns whether the name by which a server is called is this machine's."""
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        return is_loopback(name.strip("[]").lower()) or name == self._options.host

    def _has_token(self, headers: Headers) -> bool:
        if self._options.token is None:
            return True
        scheme, _, token = headers.get("authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(
            token.strip().encode(), self._options.token.encode()
        )


def _refused(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"error": reason}, status)
