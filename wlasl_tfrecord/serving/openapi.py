"""The description of the HTTP interface, in the form that OpenAPI 3.1 defines."""

from collections.abc import Mapping
from typing import Any

from wlasl_tfrecord import __version__
from wlasl_tfrecord.network.model_info import ModelInfo
from wlasl_tfrecord.serving.options import ServeOptions
from wlasl_tfrecord.serving.upload import FIELD
from wlasl_tfrecord.video.sampling import evenly_spaced

__all__ = ["description"]

Json = dict[str, Any]

_RETRY_AFTER = {
    "retry-after": {
        "description": "Seconds to wait.",
        "schema": {"type": "integer"},
    }
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
        "servers": [{"url": "/"}],
        "paths": {
            "/predict": {"post": _predict(info, options)},
            "/model": {"get": _model(options)},
            "/healthz": {"get": _healthz(options)},
        },
        "components": {"schemas": _schemas()},
    }
    if options.token is not None:
        described["components"]["securitySchemes"] = {
            "token": {"type": "http", "scheme": "bearer"}
        }
    return described


def _predict(info: ModelInfo, options: ServeOptions) -> Json:
    form = {"type": "object", "required": [FIELD], "properties": {FIELD: {}}}
    return {
        "operationId": "predict",
        "summary": "Ranks the glosses for one video, which shows one sign.",
        "description": f"A video of at most {options.max_mib} MiB and "
        f"{options.max_frames:,} frames, in any format that FFmpeg reads.",
        "parameters": [
            _parameter(
                "top",
                "How many glosses to list; all where the model has fewer.",
                {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 999_999,
                    "default": options.top,
                },
            ),
            _parameter(
                "frames",
                "Whether to return the frames that the model saw, as JPEG.",
                {"type": "boolean", "default": False},
            ),
        ],
        "requestBody": {
            "description": f"The video itself, or a form with it in the field {FIELD}. "
            "What it is called is not looked at.",
            "required": True,
            # OpenAPI 3.1 describes bytes by their media type alone.
            "content": {
                "video/*": {},
                "application/octet-stream": {},
                "multipart/form-data": {
                    "schema": form,
                    "encoding": {
                        FIELD: {"contentType": "video/*, application/octet-stream"}
                    },
                },
            },
        },
        "responses": {
            "200": _response("The ranked glosses.", "Recognition", _recognition(info)),
            **_refusals(options),
            **_guarded(options),
            **_unauthorized(options),
        },
        **_security(options),
    }


def _refusals(options: ServeOptions) -> Json:
    """What becomes of a video that is not recognised."""
    too_many = _refusal(
        "Too many videos at once. Send it again after `Retry-After` seconds.",
        f"{options.max_at_once} videos are being recognised already, which is the "
        "limit; send it again in a second",
    )
    return {
        "400": _refusal(
            "The request is malformed: no video, a damaged form, an unknown parameter. "
            "What is no HTTP is answered in plain text.",
            "top must be a number from 1 to 999999, got '0'",
        ),
        "408": _refusal(
            "The head or the body of the request took too long; the connection is "
            "closed.",
            f"the upload took longer than {options.upload_seconds:g} seconds",
        ),
        "413": _refusal(
            "The video is too large.",
            f"the video is larger than {options.max_mib} MiB",
        ),
        "415": _refusal(
            "The body is a form of another kind.",
            f"send the video itself, or a multipart/form-data form with {FIELD!r}",
        ),
        "422": _refusal(
            "The video does not become a clip; `error` names the reason.",
            "unreadable: not a video, or one that is cut off or damaged",
        ),
        "429": {**too_many, "headers": _RETRY_AFTER},
        "500": _refusal(
            "The server failed.", "the server failed; its own output has more"
        ),
        "507": _refusal(
            "The server's disk has no room for the video.",
            "the server has no room for this video: No space left on device",
        ),
    }


def _model(options: ServeOptions) -> Json:
    return {
        "operationId": "model",
        "summary": "What the model takes and knows, and the limits of this server.",
        "responses": {
            "200": _response("The model.", "Model"),
            **_guarded(options),
            **_unauthorized(options),
        },
        **_security(options),
    }


def _healthz(options: ServeOptions) -> Json:
    example = {"ok": True, "num_at_work": 0}
    return {
        "operationId": "healthz",
        "summary": "Whether the server is up; needs no token.",
        "responses": {
            "200": _response("It is up.", "Health", example),
            **_guarded(options),
        },
    }


def _recognition(info: ModelInfo) -> Json:
    """An answer as the model of this server could give it."""
    num_video_frames = 41
    indices = evenly_spaced(num_video_frames, info.clip.num_frames).tolist()
    return {
        "predictions": [
            {"gloss": gloss, "probability": probability}
            for gloss, probability in zip(info.glosses, (0.923, 0.03))
        ],
        "num_video_frames": num_video_frames,
        "num_distinct_frames": len(set(indices)),
        "frame_indices": indices,
        "batch_size": 1,
        "seconds": {"upload": 0.002, "decode": 0.021, "network": 0.034, "total": 0.059},
    }


def _parameter(name: str, text: str, schema: Json) -> Json:
    return {"name": name, "in": "query", "description": text, "schema": schema}


def _response(text: str, schema: str, example: Json | None = None) -> Json:
    content: Json = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    if example is not None:
        content["example"] = example
    return {"description": text, "content": {"application/json": content}}


def _refusal(text: str, reason: str) -> Json:
    return _response(text, "Error", {"error": reason})


def _guarded(options: ServeOptions) -> Json:
    """What every address may answer to a request that no user of it meant."""
    refusals = {
        "403": _refusal(
            "The request comes from a page of another site.",
            "pages of 'https://other.example' may not use this server",
        )
    }
    if options.token is None:
        refusals["421"] = _refusal(
            "The request names another host than this machine.",
            "this server is not 'other.example'; use 127.0.0.1",
        )
    return refusals


def _unauthorized(options: ServeOptions) -> Json:
    if options.token is None:
        return {}
    reason = "send the token: Authorization: Bearer …"
    return {"401": _refusal("The token is missing or wrong.", reason)}


def _security(options: ServeOptions) -> Json:
    return {} if options.token is None else {"security": [{"token": []}]}


def _schemas() -> Json:
    health = _object(
        {
            "ok": {"type": "boolean"},
            "num_at_work": _count("Videos that are uploaded, waiting or recognised."),
        }
    )
    return {
        "Recognition": _recognition_schema(),
        "Model": _model_schema(),
        "Health": health,
        "Error": _object({"error": _text("The reason, for people.")}),
    }


def _recognition_schema() -> Json:
    prediction = _object(
        {
            "gloss": _text("The word that the sign stands for."),
            "probability": _number("From 0 to 1; all glosses together have 1."),
        }
    )
    seconds = _object(
        {
            "upload": _number("To receive the video."),
            "decode": _number("In a decoder process."),
            "network": _number("In the network, with the rest of its batch."),
            "total": _number("From the request to the answer, waiting included."),
        }
    )
    jpeg = {
        "type": "string",
        "contentEncoding": "base64",
        "contentMediaType": "image/jpeg",
    }
    return _object(
        {
            "predictions": _list(prediction, "The most probable gloss first."),
            "num_video_frames": _count("Frames of the video."),
            "num_distinct_frames": _count(
                "Frames of the clip that differ; fewer than it has if some are "
                "repeated."
            ),
            "frame_indices": _list(
                {"type": "integer"}, "Which frame of the video each frame is, from 0."
            ),
            "seconds": seconds,
            "batch_size": _count("Videos that went through the network together."),
            "frames": _list(jpeg, "With frames=true: what the model saw."),
        },
        optional=("frames",),
    )


def _model_schema() -> Json:
    clip = _object(
        {
            "num_frames": _count("Frames of a clip."),
            "height": _count("Pixels."),
            "width": _count("Pixels."),
        }
    )
    limits = _object(
        {
            "max_mib": _count("Size of a video in MiB."),
            "max_frames": _count("Frames of a video."),
            "max_at_once": _count("Videos in the server at once."),
            "upload_seconds": _number("For the upload of a video."),
            "decode_seconds": _number("For decoding it."),
        }
    )
    windows = _object(
        {
            "window_seconds": _number("Length of a window of continuous signing."),
            "step_seconds": _number("From one window to the next."),
            "threshold": _number("Probability from which a window shows a sign."),
            "min_motion": _number("Motion from which it does, in 255ths of white."),
        }
    )
    return _object(
        {
            "name": _text("The run folder's name."),
            "glosses": _list({"type": "string"}, "By label."),
            "clip": clip,
            "framing": _text("How frames are made to fit: center, pad or squash."),
            "windows": windows,
            "limits": limits,
            "version": _text("Of wlasl_tfrecord."),
        }
    )


def _text(text: str) -> Json:
    return {"type": "string", "description": text}


def _number(text: str) -> Json:
    return {"type": "number", "description": text}


def _count(text: str) -> Json:
    return {"type": "integer", "description": text}


def _list(items: Mapping[str, Any], text: str) -> Json:
    return {"type": "array", "items": items, "description": text}


def _object(properties: Mapping[str, Any], optional: tuple[str, ...] = ()) -> Json:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}
