"""The description of the HTTP interface, in the form that OpenAPI 3.1 defines."""

from collections.abc import Mapping
from typing import Any

from wlasl_tfrecord import __version__
from wlasl_tfrecord.network.model_info import ModelInfo
from wlasl_tfrecord.serving.options import ServeOptions
from wlasl_tfrecord.serving.upload import FIELD

__all__ = ["description"]

Json = dict[str, Any]

_REFUSALS = {
    "400": "The request is malformed: no video, a damaged form, an unknown parameter.",
    "403": "The request comes from a page of another site.",
    "408": "The upload took too long.",
    "413": "The video is too large.",
    "415": "The body is a form of another kind.",
    "422": "The video does not become a clip; `error` names the reason.",
    "429": "Too many videos at once. Send it again after `Retry-After` seconds.",
    "500": "The server failed.",
    "507": "The server's disk has no room for the video.",
}


def description(info: ModelInfo, options: ServeOptions) -> Json:
    """Describes every address of a server.

    Args:
        info: What its model takes and returns.
        options: Its limits, and whether it wants a token.

    Returns:
        An OpenAPI document, as JSON values.
    """
    described: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "wlasl_tfrecord",
            "version": __version__,
            "description": f"Names the sign in a video: one of {len(info.glosses)} "
            "glosses.",
        },
        "paths": {
            "/predict": {"post": _predict(options)},
            "/model": {
                "get": _get("What the model takes and knows.", "Model", options)
            },
            "/healthz": {"get": _get("Whether the server is up.", "Health", None)},
        },
        "components": {"schemas": _schemas()},
    }
    if options.token is not None:
        described["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer"}
        }
    return described


def _get(summary: str, schema: str, options: ServeOptions | None) -> Json:
    responses = {"200": _response("The answer.", schema)}
    return {
        "summary": summary,
        "responses": {**responses, **_unauthorized(options)},
        **_security(options),
    }


def _predict(options: ServeOptions) -> Json:
    refusals = {status: _response(text, "Error") for status, text in _REFUSALS.items()}
    binary = {"type": "string", "format": "binary"}
    form = {"type": "object", "required": [FIELD], "properties": {FIELD: binary}}
    return {
        "summary": "Ranks the glosses for one video, which shows one sign.",
        "description": f"A video of at most {options.max_mib} MiB and "
        f"{options.max_frames:,} frames, in any format that FFmpeg reads.",
        "parameters": [
            _parameter(
                "top",
                "How many glosses to list.",
                {"type": "integer", "minimum": 1, "default": options.top},
            ),
            _parameter(
                "frames",
                "Whether to return the frames that the model saw, as JPEG.",
                {"type": "boolean", "default": False},
            ),
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/octet-stream": {"schema": binary},
                "video/*": {"schema": binary},
                "multipart/form-data": {"schema": form},
            },
        },
        "responses": {
            "200": _response("The ranked glosses.", "Recognition"),
            **refusals,
            **_unauthorized(options),
        },
        **_security(options),
    }


def _parameter(name: str, text: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _response(text: str, schema: str) -> Json:
    reference = {"$ref": f"#/components/schemas/{schema}"}
    return {
        "description": text,
        "content": {"application/json": {"schema": reference}},
    }


def _unauthorized(options: ServeOptions | None) -> Json:
    if options is None or options.token is None:
        return {}
    return {"401": _response("The token is missing or wrong.", "Error")}


def _security(options: ServeOptions | None) -> Json:
    if options is None or options.token is None:
        return {}
    return {"security": [{"token": []}]}


def _schemas() -> Json:
    number, count = {"type": "number"}, {"type": "integer"}
    text, flag = {"type": "string"}, {"type": "boolean"}
    prediction = _object({"gloss": text, "probability": number})
    seconds = _object(dict.fromkeys(("upload", "decode", "network", "total"), number))
    recognition = _object(
        {
            "predictions": _list(prediction),
            "num_video_frames": count,
            "num_distinct_frames": count,
            "frame_indices": _list(count),
            "seconds": seconds,
            "batch_size": count,
            "frames": _list({**text, "contentEncoding": "base64"}),
        },
        optional=("frames",),
    )
    clip = _object(dict.fromkeys(("num_frames", "height", "width"), count))
    limits = _object(
        {
            **dict.fromkeys(("max_mib", "max_frames", "max_at_once"), count),
            "upload_seconds": number,
            "decode_seconds": number,
        }
    )
    windows = _object(
        dict.fromkeys(
            ("window_seconds", "step_seconds", "threshold", "min_motion"), number
        )
    )
    model = _object(
        {
            "name": text,
            "glosses": _list(text),
            "clip": clip,
            "framing": text,
            "windows": windows,
            "limits": limits,
            "version": text,
        }
    )
    return {
        "Recognition": recognition,
        "Model": model,
        "Health": _object({"ok": flag, "num_at_work": count}),
        "Error": _object({"error": text}),
    }


def _list(items: Mapping[str, Any]) -> Json:
    return {"type": "array", "items": items}


def _object(properties: Mapping[str, Any], optional: tuple[str, ...] = ()) -> Json:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}
