"""Who may ask a server, and what its page may load."""

import dataclasses

import pytest
from running_server import ask, serving
from served_model import OPTIONS

from wlasl_tfrecord.serving.app import running_app


@pytest.mark.parametrize("path", ["/", "/page.js", "/live.js", "/page.css"])
def test_the_page_may_load_nothing_from_elsewhere(port, path):
    answer = ask(port, path)
    assert answer.status == 200
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers
    assert b"http" not in answer.body.replace(b"over https", b"")


def test_a_page_of_another_site_is_refused(port, video):
    headers = {"Origin": "http://evil.example"}
    answer = ask(port, "/predict", video, headers)
    assert answer.status == 403
    assert answer.json["error"] == (
        "pages of 'http://evil.example' may not use this server"
    )
    own = ask(port, "/predict", video, {"Origin": f"http://127.0.0.1:{port}"})
    assert own.status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:8000", 200),
        ("[::1]:8000", 200),
        ("evil.example", 421),
        ("evil.example:8000", 421),
        ("127.0.0.1.evil.example", 421),
    ],
)
def test_a_name_that_somebody_made_point_here_is_refused(port, host, status):
    described = ask(port, "/openapi.json").json["paths"]
    for path in ("/model", "/healthz"):
        assert ask(port, path, headers={"Host": host}).status == status
        assert str(status) in described[path]["get"]["responses"]


def test_with_a_token_only_its_holders_are_answered(model, video):
    token = "correct-horse-battery"
    options = dataclasses.replace(OPTIONS, host="0.0.0.0", token=token)
    with running_app(model, options) as app, serving(app) as port:
        for path, body in (("/predict", video), ("/model", None)):
            for wrong in (
                {},
                {"Authorization": "Bearer wrong"},
                {"Authorization": "Bearer"},
                # What some releases of Starlette add to the path.
                {"Host": "x/y"},
                {"Host": "x?"},
                {"Host": "x#"},
            ):
                answer = ask(port, path, body, wrong)
                assert answer.status == 401
                assert answer.headers["www-authenticate"] == "Bearer"
                assert "send the token" in answer.json["error"]
            right = {"Authorization": f"Bearer {token}", "Host": "my-machine:8000"}
            assert ask(port, path, body, right).status == 200
        described = ask(port, "/openapi.json").json
        assert "401" in described["paths"]["/model"]["get"]["responses"]
        # The page asks for the token, and a monitor needs none.
        assert ask(port, "/").status == 200
        assert ask(port, "/healthz").status == 200
