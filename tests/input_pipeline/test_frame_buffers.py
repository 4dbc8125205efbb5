import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from wlasl_tfrecord.input_pipeline.frame_buffers import FrameBuffers


def address(array):
    return array.ctypes.data


def test_an_array_begins_where_tensorflow_takes_it_over():
    buffers = FrameBuffers((3, 5, 7), max_free=2)
    arrays = [buffers.take() for _ in range(5)]
    assert all(array.shape == (3, 5, 7) for array in arrays)
    assert all(array.dtype == np.uint8 for array in arrays)
    assert all(address(array) % 64 == 0 for array in arrays)
    assert all(array.flags.writeable and array.flags.c_contiguous for array in arrays)
    assert len({address(array) for array in arrays}) == 5


def test_memory_is_used_again_when_the_last_view_of_it_is_gone():
    buffers = FrameBuffers((1000,), max_free=2)
    array = buffers.take()
    first, view = address(array), array[10:20]
    del array
    assert address(buffers.take()) != first
    del view
    gc.collect()
    assert first in {address(array) for array in [buffers.take(), buffers.take()]}


def test_no_more_memory_is_kept_than_was_asked_for():
    buffers = FrameBuffers((1000,), max_free=2)
    arrays = [buffers.take() for _ in range(10)]
    del arrays
    assert len(buffers._free) == 2


def test_no_two_threads_get_the_same_memory():
    buffers = FrameBuffers((64,), max_free=4)

    def write(number):
        for _ in range(200):
            array = buffers.take()
            array[:] = number
            assert (array == number).all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
