"""The layers of a network, at any depth: this fails first if Keras changes."""

from wlasl_tfrecord.network.layers import layers_within


def test_every_layer_is_listed_once_whatever_holds_it():
    import keras

    class Holder(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.listed = [keras.layers.Dense(2), keras.layers.Dense(2)]
            self.again = self.listed[0]

        def call(self, x):
            return self.listed[1](self.again(x))

    inner_input = keras.Input((4,))
    inner_dense = keras.layers.Dense(3)
    inner = keras.Model(inner_input, inner_dense(inner_input))
    wrapped = keras.layers.TimeDistributed(inner)
    both_ways = keras.layers.Bidirectional(keras.layers.LSTM(2))
    holder = Holder()
    frames = keras.Input((5, 4))
    model = keras.Model(frames, holder(both_ways(wrapped(frames))))

    found = layers_within(model)
    assert found[0] is model
    assert len({id(one) for one in found}) == len(found)
    held = [wrapped, inner, inner_dense, both_ways, both_ways.forward_layer]
    held += [both_ways.backward_layer, holder, *holder.listed]
    for layer in held:
        assert any(one is layer for one in found), layer.name
    assert layers_within(holder.again) == [holder.again]
