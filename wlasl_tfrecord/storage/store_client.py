"""The store of a URL by obstore: credentials, time limits, errors in one line."""

import importlib
import json
import os
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

from wlasl_tfrecord.errors import StoreError
from wlasl_tfrecord.storage.urls import without_secrets

__all__ = ["import_obstore", "make_store", "reason_of"]

# A connection that cannot be made, and one on which nothing comes, count as failed
# after these. The whole of a request has time for 16 MiB at 64 kB/s.
_CLIENT = {
    "connect_timeout": timedelta(seconds=10),
    "read_timeout": timedelta(seconds=20),
    "timeout": timedelta(minutes=5),
}


def import_obstore(url: str) -> Any:
    """Returns the package obstore; here, because only URLs need it."""
    try:
        for module in ("obstore.exceptions", "obstore.store"):
            importlib.import_module(module)
        return importlib.import_module("obstore")
    except ImportError as error:
        raise StoreError(
            f"{url} is read by the package obstore, which is not installed; "
            "pip install 'wlasl-tfrecord[remote]'"
        ) from error


def make_store(url: str, retry: Mapping[str, Any], headers: Mapping[str, str]) -> Any:
    """Makes obstore's store of a URL; credentials come from where its makers look."""
    store = importlib.import_module("obstore.store")
    parts = urlsplit(url)
    prefix = parts.path.strip("/") or None
    client: dict[str, Any] = dict(_CLIENT)
    if parts.scheme in ("http", "https"):
        client["allow_http"] = parts.scheme == "http"
        client["default_headers"] = headers
        return store.HTTPStore.from_url(url, client_options=client, retry_config=retry)
    # Who names an endpoint without encryption wants it: a server of one's own.
    endpoints = [
        value
        for name, value in os.environ.items()
        if re.search("ENDPOINT|EMULATOR", name)
    ]
    emulator = _emulator_url()
    client["allow_http"] = any(
        value.startswith("http://") for value in (*endpoints, emulator)
    )
    if os.environ.get("AZURE_STORAGE_USE_EMULATOR", "").lower() == "true":
        client["allow_http"] = True
    options = {"client_options": client, "retry_config": retry}
    if parts.scheme == "gs":
        key = _emulator_key(emulator) if emulator else {}
        return store.GCSStore(parts.netloc, prefix=prefix, **options, **key)
    if parts.scheme == "az":
        return store.AzureStore(parts.netloc, prefix=prefix, **options)
    return store.S3Store(parts.netloc, prefix=prefix, **options, **_aws_profile())


def _emulator_url() -> str:
    """Returns the server that stands for Google's, as its own libraries find it."""
    url = os.environ.get("STORAGE_EMULATOR_HOST", "")
    return f"http://{url}" if url and "://" not in url else url


def _emulator_key(url: str) -> dict[str, Any]:
    """Returns a key by which obstore asks another server, and asks it for no token."""
    key = {"gcs_base_url": url, "disable_oauth": True}
    unused = dict.fromkeys(("client_email", "private_key", "private_key_id"), "")
    return {"service_account_key": json.dumps({**key, **unused})}


def _aws_profile() -> dict[str, Any]:
    """Returns what a profile of AWS's own files adds to the environment."""
    environment = os.environ
    files = (
        environment.get("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials"),
        environment.get("AWS_CONFIG_FILE", "~/.aws/config"),
    )
    has_keys = "AWS_ACCESS_KEY_ID" in environment
    if has_keys or not any(os.path.exists(os.path.expanduser(one)) for one in files):
        return {}
    try:
        session = importlib.import_module("boto3.session").Session()
        if session.get_credentials() is None:
            return {}
        auth = importlib.import_module("obstore.auth.boto3")
        return {"credential_provider": auth.Boto3CredentialProvider(session)}
    except Exception as error:
        # Botocore has some dozen kinds; none of their messages has a key.
        raise StoreError(
            f"cannot take credentials from AWS's files ({reason_of(error)}); check the "
            "profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
        ) from None


def reason_of(error: BaseException) -> str:
    """Returns the first line of what a library says, without what may be secret."""
    if "Forked process detected" in str(error):
        return (
            "this process was forked from one that has read from a URL; start it by "
            "spawn or forkserver"
        )
    line = without_secrets(str(error).strip().partition("\n")[0])
    found = re.search(r"status code: (\d+ [\w ]+).*?(?:<Code>(\w+)</Code>|$)", line)
    if found:
        return ": ".join(part for part in found.groups() if part)
    return re.sub(r"Error performing \w+ \S+ in ", "", line)[:300]
