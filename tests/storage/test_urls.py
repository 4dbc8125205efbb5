import os

import pytest

from wlasl_tfrecord.errors import StoreError
from wlasl_tfrecord.storage.urls import check_url, join_path, without_secrets


@pytest.mark.parametrize(
    ("directory", "expected"),
    [
        ("s3://bucket/shards", "s3://bucket/shards/a"),
        ("s3://bucket/shards/", "s3://bucket/shards/a"),
        (os.path.join("x", "y"), os.path.join("x", "y", "a")),
    ],
)
def test_names_are_joined_to_paths_and_urls(directory, expected):
    assert join_path(directory, "a") == expected


@pytest.mark.parametrize(
    "url",
    [
        "https://me:hidden@host/shards",
        "https://hidden@host/shards",
        "https://host/shards?X-Amz-Signature=hidden",
        "az://container/shards?sv=2&sig=hidden",
        "https://host/shards#hidden",
    ],
)
def test_a_url_with_a_secret_is_refused_and_not_shown(url):
    with pytest.raises(StoreError, match="give credentials by the env") as caught:
        check_url(url)
    assert "hidden" not in str(caught.value)
    assert "/shards" in str(caught.value)
    assert "hidden" not in without_secrets(f"GET {url}: 403, ({url}) '{url}'")


def test_a_url_without_a_bucket_is_refused():
    with pytest.raises(StoreError, match="s3:///a names no bucket or host; a URL is"):
        check_url("s3:///a")


@pytest.mark.parametrize(
    "url",
    ["s3://a bucket/hidden", "s3://KEY:hid/hidden@bucket/x", "gs://\u202e/hidden"],
)
def test_a_name_that_no_bucket_has_is_refused(url):
    with pytest.raises(StoreError, match="a name that no bucket or host can") as caught:
        check_url(url)
    assert "hidden" not in str(caught.value)


def test_what_is_no_url_is_one_line():
    with pytest.raises(StoreError, match="a URL of https:// cannot be understood"):
        check_url("https://[::1/x")


def test_an_at_sign_in_a_key_is_no_secret():
    check_url("s3://bucket/shards@2")
