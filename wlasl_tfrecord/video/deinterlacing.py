"""Deinterlacing: frames woven of two fields become frames of one instant, by PyAV."""

import contextlib
from collections.abc import Iterator
from typing import Any

__all__ = ["deinterlaced"]

# One frame a frame, whose other field is found from the frames around it; a frame that
# is not marked as interlaced is left as it is.
_DEINTERLACER = ("bwdif", "mode=send_frame:parity=auto:deint=interlaced")


def deinterlaced(frames: Iterator[Any]) -> Iterator[Any]:
    """Yields as many frames, none of them interlaced."""
    graph: Any = None
    kind: tuple[int, int, str] | None = None
    for frame in frames:
        if graph is None and not frame.interlaced_frame:
            yield frame
            continue
        now = (frame.width, frame.height, frame.format.name)
        if graph is None or now != kind:
            if graph is not None:
                graph.push(None)
                yield from _pulled(graph)
            graph, kind = _deinterlacer(frame), now
        graph.push(frame)
        yield from _pulled(graph)
    if graph is not None:
        graph.push(None)
        yield from _pulled(graph)


def _deinterlacer(frame: Any) -> Any:
    """Builds a graph of filters for frames like this one."""
    import av.filter

    graph = av.filter.Graph()
    # Workers are as many as cores already.
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base,
    )
    deinterlacer, sink = graph.add(*_DEINTERLACER), graph.add("buffersink")
    source.link_to(deinterlacer)
    deinterlacer.link_to(sink)
    graph.configure()
    return graph


def _pulled(graph: Any) -> Iterator[Any]:
    """Yields the frames that a graph has finished."""
    import av.error

    with contextlib.suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            yield graph.pull()
