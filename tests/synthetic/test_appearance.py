from wlasl_tfrecord.synthetic import appearance


def test_signers_differ_in_all_that_should_not_matter():
    drawn = appearance.draw_signers(14, seed=0)
    for name in ("skin", "clothes", "wall", "room", "fps", "tempo", "light"):
        assert len({getattr(signer, name) for signer in drawn}) >= 5
    assert len({(signer.width, signer.height) for signer in drawn}) >= 5
