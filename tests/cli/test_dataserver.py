import pytest

from wlasl_tfrecord.cli.dataserver import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["worker"], "a worker needs --dispatcher grpc://host:port"),
        (["dispatcher", "--host", "here"], "--host is for a worker, not for a disp"),
        (
            ["worker", "--dispatcher", "grpc://h:1", "--work-dir", "w"],
            "--work-dir is for a dispatcher, not for a worker",
        ),
        (["dispatcher", "--port", "70000"], "--port must be from 0 to 65535, got 7"),
        (
            ["worker", "--dispatcher", "grpc://h:1", "--connect-timeout", "0"],
            "--connect-timeout must be above 0, got 0.0",
        ),
        (["worker", "--dispatcher", "h:1"], "a data service is grpc://host:port, got"),
    ],
)
def test_wrong_options_are_refused(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err
