"""Passwords of web servers: from ~/.netrc, and to their host alone."""

import base64
import contextlib
import errno
import netrc
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.client import HTTPException
from urllib.parse import urljoin, urlsplit

__all__ = ["leaves_host", "password_headers"]

_TIMEOUT_SECONDS = 20
# After a try that failed.
_WAITS_SECONDS = (0.5, 1.0, 2.0, 4.0)


def password_headers(host: str) -> dict[str, str]:
    """Returns the header with the password that ~/.netrc has for a host.

    What it has as `default` is for no host in particular, and so sent to none.
    """
    try:
        found = netrc.netrc().hosts.get(host)
    except (OSError, netrc.NetrcParseError):
        return {}
    if found is None or host == "default":
        return {}
    password = base64.b64encode(f"{found[0]}:{found[2]}".encode()).decode()
    return {"Authorization": f"Basic {password}"}


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows nothing: an answer that redirects is an error."""

    def redirect_request(self, req, fp, code, msg, headers, newurl) -> None:
        """Makes no request."""


def leaves_host(url: str, headers: Mapping[str, str]) -> bool:
    """Returns whether a server redirects a request to another host, or port.

    Obstore follows redirects, and sends its headers along from the second one on.

    Args:
        url: What is asked for.
        headers: With the password.

    Raises:
        OSError: If the server cannot be asked.
    """
    opener = urllib.request.build_opener(_Stay)
    for method in ("HEAD", "GET"):
        request = urllib.request.Request(url, headers=dict(headers), method=method)
        for seconds in _WAITS_SECONDS:
            target = _answering_url(opener, request)
            if target is not None:
                break
            time.sleep(seconds)
        else:
            raise OSError(errno.EIO, "the server does not answer", url)
        if urlsplit(target)[:2] != urlsplit(url)[:2]:
            return True
    return False


def _answering_url(
    opener: urllib.request.OpenerDirector, request: urllib.request.Request
) -> str | None:
    """Returns where a request is redirected to, or its own URL; None if it fails."""
    try:
        opener.open(request, timeout=_TIMEOUT_SECONDS).close()
    except urllib.error.HTTPError as error:
        with contextlib.closing(error):
            return urljoin(request.full_url, error.headers.get("Location", ""))
    except (OSError, HTTPException):
        return None
    return request.full_url
